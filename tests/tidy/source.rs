//! A source file as tokens: without comments and texts, and without the items that only tests see.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// A source file, read.
pub(crate) struct Source {
    /// From the root of the repository, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) text: String,
    /// What is compiled without tests; empty for a file that only tests see.
    pub(crate) tokens: Vec<TokenTree>,
    /// Lines of items that only tests see, both ends included.
    test_lines: Vec<(usize, usize)>,
    /// Modules in files of their own that only tests see.
    test_modules: Vec<String>,
}

/// A name or a sign, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path such as `crate::units::Delay`, unfolded from a list of imports or found in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) parts: Vec<String>,
    pub(crate) line: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut source = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens: Vec::new(),
            test_lines: Vec::new(),
            test_modules: Vec::new(),
        };
        source.tokens = source.without_tests(stream);
        source
    }

    /// Lines that are compiled without tests, blank ones and comments included.
    pub(crate) fn lines_without_tests(&self) -> usize {
        let tests: usize = self.test_lines.iter().map(|(first, last)| last - first + 1).sum();
        self.text.lines().count() - tests
    }

    /// The room: `units` for `src/units.rs`, `tc` for `src/tc/kernel/mod.rs`, `agents` for the daemons.
    pub(crate) fn room(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let room = inside.split('/').next().unwrap_or(inside);
        room.strip_suffix(".rs").unwrap_or(room)
    }

    /// All words, in order; brackets are words too.
    pub(crate) fn words(&self) -> Vec<Word> {
        let mut words = Vec::new();
        flatten(&self.tokens, &mut words);
        words
    }

    /// All paths with at least two parts; `super` and `self` are resolved to `crate`.
    pub(crate) fn mentions(&self) -> Vec<Mention> {
        let words = self.words();
        let mut mentions = Vec::new();
        let mut place = 0;
        while place < words.len() {
            if starts_path(&words, place) {
                place = unfold(&words, place, &[], &mut mentions);
            } else {
                place += 1;
            }
        }
        let module = self.module();
        for mention in &mut mentions {
            mention.parts = resolved(&module, &mention.parts);
        }
        mentions.retain(|mention| mention.parts.len() > 1);
        mentions
    }

    /// The module that the file is: `crate`, `tc`, `kernel` for `src/tc/kernel/mod.rs`.
    fn module(&self) -> Vec<String> {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let stem = inside.strip_suffix(".rs").unwrap_or(inside);
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        let below = stem.split('/').filter(|part| !["lib", "main"].contains(part)).map(str::to_owned);
        std::iter::once("crate".to_owned()).chain(below).collect()
    }

    fn without_tests(&mut self, stream: TokenStream) -> Vec<TokenTree> {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut kept = Vec::new();
        let mut place = 0;
        while place < trees.len() {
            if is_test_attribute(&trees[place..]) {
                let end = item_end(&trees, place);
                self.test_lines.push((line_of(&trees[place]), trees[end - 1].span().end().line));
                self.test_modules.extend(module_name(&trees[place..end]));
                place = end;
                continue;
            }
            kept.push(match &trees[place] {
                TokenTree::Group(group) => {
                    let inside = self.without_tests(group.stream()).into_iter().collect();
                    let mut smaller = Group::new(group.delimiter(), inside);
                    smaller.set_span(group.span());
                    smaller.into()
                }
                other => other.clone(),
            });
            place += 1;
        }
        kept
    }
}

/// Reads every source file below the folders; those that only tests see have no tokens.
pub(crate) fn read_all(root: &Path, folders: &[&str]) -> Vec<Source> {
    let mut files = BTreeSet::new();
    for folder in folders {
        collect(&root.join(folder), &mut files);
    }
    let read = |file: &PathBuf| {
        let name = file.strip_prefix(root).expect("below the root").to_str().expect("a readable name");
        Source::new(name, &std::fs::read_to_string(file).expect("a text"))
    };
    let mut sources: Vec<Source> = files.iter().map(read).collect();
    let only_tests: Vec<String> = sources.iter().flat_map(Source::test_files).collect();
    for source in &mut sources {
        if only_tests
            .iter()
            .any(|path| source.path == format!("{path}.rs") || source.path.starts_with(&format!("{path}/")))
        {
            source.tokens.clear();
            source.test_lines = vec![(1, source.text.lines().count())];
        }
    }
    sources
}

impl Source {
    /// The files of the modules that only tests see, without `.rs`.
    fn test_files(&self) -> Vec<String> {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let folder = ["/mod", "/lib", "/main"].iter().find_map(|end| stem.strip_suffix(end)).unwrap_or(stem);
        self.test_modules.iter().map(|module| format!("{folder}/{module}")).collect()
    }
}

fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.insert(path);
        }
    }
}

fn line_of(tree: &TokenTree) -> usize {
    tree.span().start().line
}

/// Whether the trees begin with `#[cfg(test)]` or `#[test]`.
fn is_test_attribute(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(sign), TokenTree::Group(attribute), ..] = trees else {
        return false;
    };
    sign.as_char() == '#' && ["cfg (test)", "cfg(test)", "test"].contains(&attribute.stream().to_string().trim())
}

/// Where the item that begins at `start` ends: behind its body or its semicolon.
fn item_end(trees: &[TokenTree], start: usize) -> usize {
    let is = |tree: &TokenTree, word: &str| matches!(tree, TokenTree::Ident(name) if name == word);
    let mut imports = false;
    for (place, tree) in trees.iter().enumerate().skip(start) {
        imports |= is(tree, "use");
        match tree {
            TokenTree::Punct(sign) if sign.as_char() == ';' => return place + 1,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !imports => return place + 1,
            _ => {}
        }
    }
    trees.len()
}

/// The name in `mod name;`.
fn module_name(item: &[TokenTree]) -> Option<String> {
    match item {
        [.., TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Punct(_)] if keyword == "mod" => {
            Some(name.to_string())
        }
        _ => None,
    }
}

fn flatten(trees: &[TokenTree], words: &mut Vec<Word>) {
    let mut joined = String::new();
    for tree in trees {
        let line = line_of(tree);
        let mut word = |text: &str, line| words.push(Word { text: text.to_owned(), line });
        match tree {
            TokenTree::Ident(name) => word(&name.to_string(), line),
            TokenTree::Literal(_) => word("\"\"", line),
            TokenTree::Punct(sign) => {
                joined.push(sign.as_char());
                // Only `::` is needed as one word.
                if sign.as_char() == ':' && sign.spacing() == Spacing::Joint && joined.len() == 1 {
                    continue;
                }
                word(&joined, line);
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                word(open, line);
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                flatten(&inside, words);
                words.push(Word { text: close.to_owned(), line: group.span_close().end().line });
            }
        }
        joined.clear();
    }
}

fn is_name(word: &Word) -> bool {
    word.text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

fn text_at(words: &[Word], place: usize) -> &str {
    words.get(place).map_or("", |word| word.text.as_str())
}

fn starts_path(words: &[Word], place: usize) -> bool {
    is_name(&words[place]) && text_at(words, place + 1) == "::"
}

/// Adds the paths that begin at `place` below `prefix`; returns where the next word is.
fn unfold(words: &[Word], mut place: usize, prefix: &[String], mentions: &mut Vec<Mention>) -> usize {
    let mut parts = prefix.to_vec();
    let line = words[place].line;
    loop {
        match text_at(words, place) {
            "{" => {
                place += 1;
                while !["}", ""].contains(&text_at(words, place)) {
                    if text_at(words, place) == "as" {
                        place += 2;
                    } else if is_name(&words[place]) || text_at(words, place) == "{" {
                        place = unfold(words, place, &parts, mentions);
                    } else {
                        place += 1;
                    }
                }
                return place + 1;
            }
            "" => break,
            _ if is_name(&words[place]) => parts.push(words[place].text.clone()),
            // A glob, or the arguments of a generic type.
            _ => break,
        }
        place += 1;
        if text_at(words, place) != "::" {
            break;
        }
        place += 1;
    }
    mentions.push(Mention { parts, line });
    place
}

/// `super::x` in `crate::a::b` is `crate::a::x`, `self::x` is `crate::a::b::x`.
fn resolved(module: &[String], parts: &[String]) -> Vec<String> {
    let ups = parts.iter().take_while(|part| *part == "super").count();
    let own = usize::from(parts.first().is_some_and(|part| part == "self"));
    if ups + own == 0 {
        return parts.to_vec();
    }
    let base = module.len().saturating_sub(ups).max(1);
    module[..base].iter().chain(&parts[ups + own..]).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, text: &str) -> Vec<String> {
        Source::new(path, text).mentions().iter().map(|mention| mention.parts.join("::")).collect()
    }

    #[test]
    fn lists_of_imports_are_unfolded() {
        let text = "use crate::{units::{Delay, Rtt as Trip}, topology::*};\nuse std::fs;\nfn f() { std::env::var(\"crate::tc\"); }";
        let expected = ["crate::units::Delay", "crate::units::Rtt", "crate::topology", "std::fs", "std::env::var"];
        assert_eq!(paths("src/a.rs", text), expected);
    }

    #[test]
    fn super_and_self_are_resolved() {
        assert_eq!(
            paths("src/a/b.rs", "use super::super::tc::X;\nuse self::y::Z;"),
            ["crate::tc::X", "crate::a::b::y::Z"]
        );
        assert_eq!(paths("src/a/mod.rs", "use super::units;"), ["crate::units"]);
    }

    #[test]
    fn items_of_tests_are_left_out() {
        let text = "use a::b;\n#[cfg(test)]\nuse c::{d, e};\nfn f() {}\n#[cfg(test)]\nmod tests {\n use g::h;\n}\n#[cfg(test)]\nmod more;\n";
        let source = Source::new("src/x.rs", text);
        assert_eq!(source.mentions().len(), 1);
        assert_eq!(source.lines_without_tests(), 2);
        assert_eq!(source.test_files(), ["src/x/more"]);
    }

    #[test]
    fn comments_and_texts_are_no_words() {
        let words = Source::new("src/x.rs", "// todo!\nfn f() { \"todo!\" } // a::b").words();
        assert_eq!(words.iter().map(|word| word.text.as_str()).collect::<String>(), "fnf(){\"\"}");
    }
}
