//! [`Breeding`]: generations of genomes, by rank and crowding.

use rand_chacha::ChaCha8Rng;

use crate::placement::TimeUp;
use crate::placement::dice::{below, unit_interval};

use super::operators::{crossover, mutation, nearest};
use super::sort::{Fitness, crowding, fronts};

/// How generations come about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Breeding {
    pub(super) population: usize,
    pub(super) generations: u64,
    pub(super) crossover: f64,
    pub(super) crossover_eta: f64,
    pub(super) mutation: f64,
    pub(super) mutation_eta: f64,
    pub(super) tournament: usize,
}

/// For each service the place of its node in the list of those that it may go to.
pub(super) type Genome = Vec<usize>;

/// A genome with its worth and its place among the others.
#[derive(Debug, Clone)]
pub(super) struct Individual {
    pub(super) genome: Genome,
    pub(super) fitness: Fitness,
    pub(super) rank: usize,
    pub(super) crowding: f64,
}

impl Breeding {
    /// The last generation, and how many there were. `counts` has how many nodes each service may go to.
    pub(super) fn run(
        &self,
        counts: &[usize],
        stream: &mut ChaCha8Rng,
        time_up: TimeUp<'_>,
        judge: &dyn Fn(&Genome) -> Fitness,
    ) -> (Vec<Individual>, u64) {
        let random = |stream: &mut ChaCha8Rng| counts.iter().map(|count| below(stream, *count)).collect::<Genome>();
        let genomes = (0..self.population).map(|_| random(stream)).collect();
        let mut parents = self.survivors(judged(genomes, judge));
        for generation in 0..self.generations {
            if time_up() {
                return (parents, generation);
            }
            let children = self.children(&parents, counts, stream);
            let mut all: Vec<(Genome, Fitness)> = parents.into_iter().map(|one| (one.genome, one.fitness)).collect();
            all.extend(judged(children, judge));
            parents = self.survivors(all);
        }
        (parents, self.generations)
    }

    fn children(&self, parents: &[Individual], counts: &[usize], stream: &mut ChaCha8Rng) -> Vec<Genome> {
        let mut children = Vec::with_capacity(self.population + 1);
        while children.len() < self.population {
            let (one, other) = (self.parent(parents, stream), self.parent(parents, stream));
            let (mut one, mut other) = (one.genome.clone(), other.genome.clone());
            if unit_interval(stream) < self.crossover {
                for ((one, other), count) in one.iter_mut().zip(&mut other).zip(counts) {
                    let genes = (*one as f64, *other as f64);
                    let (near, far) = crossover(genes, unit_interval(stream), self.crossover_eta);
                    (*one, *other) = (nearest(near, *count), nearest(far, *count));
                }
            }
            for mut child in [one, other] {
                self.mutate(&mut child, counts, stream);
                children.push(child);
            }
        }
        children.truncate(self.population);
        children
    }

    fn mutate(&self, genome: &mut Genome, counts: &[usize], stream: &mut ChaCha8Rng) {
        for (gene, count) in genome.iter_mut().zip(counts) {
            if unit_interval(stream) < self.mutation {
                let range = count.saturating_sub(1) as f64;
                let change = mutation(unit_interval(stream), self.mutation_eta) * range;
                *gene = nearest(*gene as f64 + change, *count);
            }
        }
    }

    /// The winner of a tournament: the lower rank, then the wider crowding, then who was drawn first.
    fn parent<'p>(&self, parents: &'p [Individual], stream: &mut ChaCha8Rng) -> &'p Individual {
        let mut winner = &parents[below(stream, parents.len())];
        for _ in 1..self.tournament {
            let rival = &parents[below(stream, parents.len())];
            let better = (rival.rank, -rival.crowding) < (winner.rank, -winner.crowding);
            winner = if better { rival } else { winner };
        }
        winner
    }

    /// The best by front, and within the last one by crowding.
    fn survivors(&self, all: Vec<(Genome, Fitness)>) -> Vec<Individual> {
        let (genomes, fitness): (Vec<Genome>, Vec<Fitness>) = all.into_iter().unzip();
        let mut survivors = Vec::with_capacity(self.population);
        for (rank, front) in fronts(&fitness).into_iter().enumerate() {
            let distances = crowding(&fitness, &front);
            let mut members: Vec<usize> = (0..front.len()).collect();
            let left = self.population - survivors.len();
            if members.len() > left {
                members.sort_by(|one, other| distances[*other].total_cmp(&distances[*one]).then(one.cmp(other)));
                members.truncate(left);
            }
            survivors.extend(members.into_iter().map(|member| Individual {
                genome: genomes[front[member]].clone(),
                fitness: fitness[front[member]],
                rank,
                crowding: distances[member],
            }));
            if survivors.len() == self.population {
                break;
            }
        }
        survivors
    }
}

fn judged(genomes: Vec<Genome>, judge: &dyn Fn(&Genome) -> Fitness) -> Vec<(Genome, Fitness)> {
    genomes
        .into_iter()
        .map(|genome| {
            let fitness = judge(&genome);
            (genome, fitness)
        })
        .collect()
}
