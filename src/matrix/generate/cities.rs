//! [`Cities`]: round trips that grow with the great circle between cities, split into halves.

use std::collections::HashMap;

use rand_chacha::ChaCha8Rng;

use super::{GenerateError, Stream, rng, unit_interval};
use crate::matrix::csv::cell::excerpt;
use crate::matrix::csv::lines::{Lines, Row};
use crate::matrix::csv::{header::Header, separator};
use crate::matrix::read::decode;
use crate::matrix::{DelayMatrix, Place, Problem, ReadError};
use crate::topology::NodeName;
use crate::units::{Delay, Rtt};

/// Mean radius of the earth.
const EARTH_RADIUS_KM: f64 = 6_371.0;

/// Round trips are rounded to this: far below the error of the model, and coarse enough that the last bits of a
/// machine's trigonometry do not show.
const GRAIN_NS: u64 = 10_000;

/// A city and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct City {
    /// Its name.
    pub name: NodeName,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

impl City {
    /// The great-circle distance in kilometres, by the haversine formula.
    pub fn distance_km(&self, other: &Self) -> f64 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_chord = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        let h = half_chord(other.latitude - self.latitude)
            + from.cos() * to.cos() * half_chord(other.longitude - self.longitude);
        2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
    }
}

/// Parameters of `RTT = max(floor, base + per_km · distance + N(0, noise))`, one draw per pair. The round trip is
/// rounded to 0.01 ms and split into halves. The defaults are a fit to the round trips between six European
/// regions of a public cloud (15 pairs, residual 3.2 ms root mean square).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cities<'a> {
    /// The cities.
    pub cities: &'a [City],
    /// The round trip at no distance.
    pub base: Rtt,
    /// What each kilometre adds to the round trip.
    pub per_km: Rtt,
    /// The shortest round trip.
    pub floor: Rtt,
    /// Standard deviation of the noise on the round trip; zero for none.
    pub noise: Rtt,
    /// The seed of the noise.
    pub seed: u64,
}

impl<'a> Cities<'a> {
    /// The cities with the default fit: 3.956 ms + 0.01983 ms/km, at least 1 ms, without noise.
    pub const fn with_default_fit(cities: &'a [City]) -> Self {
        Self {
            cities,
            base: Rtt::from_micros(3_956),
            per_km: Rtt::from_nanos(19_830),
            floor: Rtt::from_millis(1),
            noise: Rtt::ZERO,
            seed: 0,
        }
    }

    /// Makes the matrix: both ways of a pair have half of its round trip.
    pub fn generate(&self) -> Result<DelayMatrix, GenerateError> {
        let n = self.cities.len();
        GenerateError::check_nodes(n, "the list of cities")?;
        if self.noise > Rtt::from_millis(10_000) {
            return Err(GenerateError::Noise(self.noise));
        }
        let mut rng = rng(self.seed, Stream::Cities);
        let mut delays = vec![Delay::ZERO; n * n];
        for from in 0..n {
            for to in from + 1..n {
                let noise = if self.noise == Rtt::ZERO { 0.0 } else { standard_normal(&mut rng) };
                let (there, back) = self.round_trip(from, to, noise).split_evenly();
                (delays[from * n + to], delays[to * n + from]) = (there, back);
            }
        }
        let names = self.cities.iter().map(|city| city.name.clone()).collect();
        Ok(DelayMatrix::new(names, delays)?)
    }

    /// The round trip between two cities, when the noise is `noise` standard deviations.
    fn round_trip(&self, from: usize, to: usize, noise: f64) -> Rtt {
        let km = self.cities[from].distance_km(&self.cities[to]);
        let ms = self.base.as_millis_f64() + self.per_km.as_millis_f64() * km + self.noise.as_millis_f64() * noise;
        let ns = Rtt::from_millis_f64(ms).unwrap_or_default().max(self.floor).as_nanos();
        Rtt::from_nanos((ns + GRAIN_NS / 2) / GRAIN_NS * GRAIN_NS)
    }
}

/// A draw from N(0, 1), by the Box–Muller transform: spelled out so that it never changes with a library's version.
fn standard_normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (1.0 - unit_interval(rng), unit_interval(rng));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// Reads a list of cities: `name,latitude,longitude` lines, with or without a header; `file` is what errors call it.
pub fn parse_cities(file: &str, bytes: &[u8]) -> Result<Vec<City>, ReadError> {
    let text = decode(bytes).map_err(|problem| ReadError::new(file, Place::File, problem))?;
    let header = Header::scan(file, text)?;
    let mut lines = Lines::new(file, text, separator(header.first_data_line.unwrap_or_default()));
    let (mut cities, mut seen, mut is_first) = (Vec::new(), HashMap::new(), true);
    while let Some(row) = lines.next()? {
        let has_no_number = row.fields.iter().all(|text| text.trim().parse::<f64>().is_err());
        if std::mem::take(&mut is_first) && row.fields.len() == 3 && has_no_number {
            continue;
        }
        let city = city(&lines, &row)?;
        if let Some(first) = seen.insert(city.name.clone(), row.line) {
            let problem = Problem::ListedTwice { name: city.name.to_string(), first };
            return Err(lines.error(Place::Column { line: row.line, column: 1 }, problem));
        }
        cities.push(city);
    }
    Ok(cities)
}

fn city(lines: &Lines<'_>, row: &Row) -> Result<City, ReadError> {
    let at = |column| Place::Column { line: row.line, column };
    let [name, latitude, longitude] = row.fields.iter().collect::<Vec<_>>()[..] else {
        let problem = Problem::Fields { found: row.fields.len(), expected: "name,latitude,longitude" };
        return Err(lines.error(Place::Line(row.line), problem));
    };
    Ok(City {
        name: name.parse().map_err(|error: crate::topology::NameError| lines.error(at(1), error))?,
        latitude: degrees(latitude, "latitude", 90).map_err(|problem| lines.error(at(2), problem))?,
        longitude: degrees(longitude, "longitude", 180).map_err(|problem| lines.error(at(3), problem))?,
    })
}

fn degrees(text: &str, what: &'static str, limit: u8) -> Result<f64, Problem> {
    let wrong = || Problem::Coordinate { text: excerpt(text.trim()), what, limit };
    let degrees: f64 = text.trim().parse().map_err(|_| wrong())?;
    if degrees.abs() <= f64::from(limit) { Ok(degrees) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn europe() -> Vec<City> {
        parse_cities("europe-30.csv", include_bytes!("../../../matrices/cities/europe-30.csv")).unwrap()
    }

    fn rtt(cities: &[City], from: &str, to: &str) -> Rtt {
        let place = |name: &str| cities.iter().position(|city| city.name.as_str() == name).unwrap();
        Cities::with_default_fit(cities).round_trip(place(from), place(to), 0.0)
    }

    #[test]
    fn distances_and_round_trips_are_the_known_ones() {
        let cities = europe();
        for (from, to, km, ms) in [
            ("Frankfurt", "Paris", 477.7, 13.43),
            ("London", "Dublin", 463.0, 13.14),
            ("Lisbon", "Helsinki", 3_360.5, 70.59),
            ("Vienna", "Bratislava", 55.3, 5.05),
        ] {
            let find = |name: &str| cities.iter().find(|city| city.name.as_str() == name).unwrap();
            let distance = find(from).distance_km(find(to));
            assert!((distance - km).abs() < 0.05, "{from}–{to}: {distance} km");
            assert_eq!(rtt(&cities, from, to), Rtt::from_millis_f64(ms).unwrap(), "{from}–{to}");
        }
    }

    #[test]
    fn mean_and_longest_round_trip_of_europe_are_the_known_ones() {
        let cities = europe();
        let matrix = Cities::with_default_fit(&cities).generate().unwrap();
        let trips: Vec<f64> = matrix.paths().map(|(from, to)| matrix.round_trip(from, to).as_millis_f64()).collect();
        let mean = trips.iter().sum::<f64>() / trips.len() as f64;
        assert!((mean - 27.55).abs() < 0.005, "{mean}");
        assert!((trips.iter().fold(0.0f64, |a, b| a.max(*b)) - 70.59).abs() < 1e-9);
    }

    #[test]
    fn distances_have_closed_forms() {
        let city = |latitude, longitude| City { name: NodeName::numbered(1), latitude, longitude };
        let quarter = std::f64::consts::FRAC_PI_2 * EARTH_RADIUS_KM;
        for (from, to, expected) in [
            (city(0.0, 0.0), city(0.0, 90.0), quarter),
            (city(0.0, 0.0), city(90.0, 17.0), quarter),
            (city(45.0, 10.0), city(-45.0, -170.0), 2.0 * quarter),
            (city(0.0, 179.5), city(0.0, -179.5), quarter / 90.0),
            (city(50.0, 8.0), city(50.0, 8.0), 0.0),
        ] {
            assert!((from.distance_km(&to) - expected).abs() < 1e-6 * quarter, "{from:?} {to:?}");
            assert!((from.distance_km(&to) - to.distance_km(&from)).abs() < 1e-9);
        }
    }

    #[test]
    fn noise_has_its_deviation_and_the_floor_holds() {
        let cities = europe();
        let quiet = Cities::with_default_fit(&cities);
        let noisy = Cities { noise: Rtt::from_millis(2), seed: 3, ..quiet };
        let (a, b) = (quiet.generate().unwrap(), noisy.generate().unwrap());
        let squares: Vec<f64> = a
            .paths()
            .filter(|(from, to)| from < to)
            .map(|(from, to)| b.round_trip(from, to).deviation(a.round_trip(from, to)).as_millis_f64().powi(2))
            .collect();
        let deviation = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
        assert!((1.7..2.3).contains(&deviation), "{deviation}");
        assert_eq!(noisy.generate(), noisy.generate());
        let wild = Cities { noise: Rtt::from_millis(100), ..noisy }.generate().unwrap();
        assert!(wild.paths().all(|(from, to)| wild.round_trip(from, to) >= Rtt::from_millis(1)));
    }

    #[test]
    fn wrong_lists_are_refused_where_they_are_wrong() {
        for (text, message) in [
            ("a,1\n", "c.csv:1: has 2 fields; a line is `name,latitude,longitude`"),
            (
                "name,lat,lon\na,north,1\n",
                "c.csv:2: column 2: `north` is not a latitude; write decimal degrees from -90 to 90",
            ),
            ("# c\na,1,181\n", "c.csv:2: column 3: `181` is not a longitude; write decimal degrees from -180 to 180"),
            ("a,nan,1\n", "c.csv:1: column 2: `nan` is not a latitude; write decimal degrees from -90 to 90"),
            ("a,1,1\nb,1,1\na,2,2\n", "c.csv:3: column 1: `a` stands already in line 1; keep one of the two"),
            (" ,1,1\n", "c.csv:1: column 1: a node name is empty; write a name"),
        ] {
            assert_eq!(parse_cities("c.csv", text.as_bytes()).unwrap_err().to_string(), message);
        }
        let none = Cities::with_default_fit(&[]).generate().unwrap_err();
        assert_eq!(none.to_string(), "0 nodes (the list of cities) are not between 2 and 8192");
    }
}
