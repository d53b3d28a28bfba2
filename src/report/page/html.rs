//! The page as text.

use std::fmt::Write;

use super::{Block, Cell, Page, PageFigure, PageTable, Tone};
use crate::report::plot::Escaped;

/// The looks: light and dark as the reader's system says, and for paper.
const STYLE: &str = include_str!("style.css");

/// The page as HTML.
pub fn html(page: &Page) -> String {
    let mut writer = Writer { text: String::new(), figures: 0 };
    writer.page(page);
    writer.text
}

struct Writer {
    text: String,
    /// How many pictures there have been; they are numbered, and so are the names inside them.
    figures: usize,
}

/// Writing to a string cannot fail.
macro_rules! put {
    ($writer:expr, $($part:tt)*) => { let _ = writeln!($writer.text, $($part)*); };
}

impl Writer {
    fn page(&mut self, page: &Page) {
        let title = Escaped(&page.title);
        put!(self, "<!DOCTYPE html>");
        put!(self, "<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>");
        put!(self, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>");
        put!(self, "<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>");
        for lead in &page.lead {
            put!(self, "<p class=\"lead\">{}</p>", Escaped(lead));
        }
        put!(self, "</header>\n<nav aria-label=\"Contents\">\n<ol>");
        for (number, section) in page.sections.iter().enumerate() {
            put!(self, "<li><a href=\"#s{}\">{}</a></li>", number + 1, Escaped(&section.title));
        }
        put!(self, "</ol>\n</nav>\n<main>");
        for (number, section) in page.sections.iter().enumerate() {
            let number = number + 1;
            put!(self, "<section aria-labelledby=\"s{number}\">");
            put!(self, "<h2 id=\"s{number}\">{}</h2>", Escaped(&section.title));
            section.blocks.iter().for_each(|block| self.block(block));
            put!(self, "</section>");
        }
        put!(self, "</main>\n</body>\n</html>");
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Heading(text) => {
                put!(self, "<h3>{}</h3>", Escaped(text));
            }
            Block::Text(text) => {
                put!(self, "<p>{}</p>", prose(text));
            }
            Block::Notice(text) => {
                put!(self, "<p class=\"notice\">{}</p>", prose(text));
            }
            Block::List(points) => {
                put!(self, "<ul>");
                for point in points {
                    put!(self, "<li>{}</li>", prose(point));
                }
                put!(self, "</ul>");
            }
            Block::Code(text) => {
                put!(self, "<pre><code>{}</code></pre>", lines(text));
            }
            Block::Table(table) => self.table(table),
            Block::Figure(figure) => self.figure(figure),
            Block::Fold(title, blocks) => {
                put!(self, "<details>\n<summary>{}</summary>", Escaped(title));
                for block in blocks {
                    self.block(block);
                }
                put!(self, "</details>");
            }
        }
    }

    fn table(&mut self, table: &PageTable) {
        let caption = Escaped(&table.caption);
        put!(self, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\">\n<table>");
        put!(self, "<caption>{caption}</caption>");
        let tones: Vec<Tone> =
            table.rows.first().map_or_else(Vec::new, |row| row.iter().map(|cell| cell.tone).collect());
        if !table.head.is_empty() {
            put!(self, "<thead>\n<tr>");
            for (place, text) in table.head.iter().enumerate() {
                let number = matches!(tones.get(place), Some(Tone::Number | Tone::Best | Tone::Alarm));
                let class = if number { " class=\"number\"" } else { "" };
                put!(self, "<th scope=\"col\"{class}>{}</th>", Escaped(text));
            }
            put!(self, "</tr>\n</thead>");
        }
        put!(self, "<tbody>");
        for row in &table.rows {
            put!(self, "<tr>");
            for (place, Cell { text, tone }) in row.iter().enumerate() {
                let (text, class) = (prose(text), class(*tone));
                if place == 0 {
                    put!(self, "<th scope=\"row\">{text}</th>");
                } else {
                    put!(self, "<td{class}>{text}</td>");
                }
            }
            put!(self, "</tr>");
        }
        put!(self, "</tbody>\n</table>\n</div>");
    }

    fn figure(&mut self, figure: &PageFigure) {
        self.figures += 1;
        let (number, name, caption) = (self.figures, Escaped(&figure.name), Escaped(&figure.caption));
        let svg = with_own_names(&figure.svg, &format!("f{number}-"));
        put!(self, "<figure id=\"{name}\">");
        put!(self, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Figure {number}\">\n{svg}</div>");
        put!(self, "<figcaption>Figure {number}. {caption}</figcaption>\n</figure>");
    }
}

/// Text of a paragraph or cell: a percent sign stays with its number.
fn prose(text: &str) -> String {
    Escaped(text).to_string().replace(" %", "\u{a0}%")
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Number => " class=\"number\"",
        Tone::Best => " class=\"best\"",
        Tone::Alarm => " class=\"number no\"",
        Tone::Yes => " class=\"yes\"",
        Tone::No => " class=\"no\"",
        Tone::Open => " class=\"open\"",
    }
}

/// Text in lines, each escaped: what is escaped has no line breaks.
fn lines(text: &str) -> String {
    text.lines().map(|line| Escaped(line).to_string()).collect::<Vec<_>>().join("\n")
}

/// A picture whose inner names (of gradients and patterns) begin with `prefix`, so that pictures of one page do not take
/// each other's. Quotes in texts are escaped, so only attributes are found.
fn with_own_names(svg: &str, prefix: &str) -> String {
    svg.replace(" id=\"", &format!(" id=\"{prefix}")).replace("url(#", &format!("url(#{prefix}"))
}

#[cfg(test)]
mod tests {
    use roxmltree::{Document, ParsingOptions};

    use super::*;
    use crate::report::page::Section;

    fn page() -> Page {
        let strange = "<script>alert(\"&\")</script>\u{1b}";
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><title>a</title><defs><pattern id=\"open\"/></defs>\
                   <rect fill=\"url(#open)\"/></svg>\n";
        let figure =
            || Block::Figure(PageFigure { name: "bars".to_owned(), caption: strange.to_owned(), svg: svg.to_owned() });
        let table = PageTable {
            caption: strange.to_owned(),
            head: vec!["what".to_owned(), "number".to_owned()],
            rows: vec![vec![Cell::plain(strange), Cell::new("1", Tone::Number)]],
        };
        let blocks = vec![
            Block::Heading(strange.to_owned()),
            Block::Text(strange.to_owned()),
            Block::Notice(strange.to_owned()),
            Block::List(vec![strange.to_owned()]),
            Block::Code(format!("a\n{strange}")),
            Block::Table(table),
            figure(),
            Block::Fold(strange.to_owned(), vec![figure()]),
        ];
        let section = Section { title: strange.to_owned(), blocks };
        Page { title: strange.to_owned(), lead: vec![strange.to_owned()], sections: vec![section] }
    }

    #[test]
    fn a_page_is_well_formed_whatever_the_words_are() {
        let text = html(&page());
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let document = Document::parse_with_options(&text, options).expect("well-formed");
        assert!(!document.descendants().any(|node| node.has_tag_name("script")));
        assert!(!text.contains('\u{1b}') && !text.contains("<script"));
        let all = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
        assert_eq!((all("h1"), all("h2"), all("h3"), all("figure"), all("svg")), (1, 1, 1, 2, 2));
    }

    #[test]
    fn pictures_do_not_take_each_others_patterns() {
        let text = html(&page());
        for number in [1, 2] {
            assert!(
                text.contains(&format!("id=\"f{number}-open\"")) && text.contains(&format!("url(#f{number}-open)"))
            );
        }
        assert_eq!(page().figures().len(), 2);
    }

    #[test]
    fn every_heading_of_a_table_says_what_it_heads() {
        let text = html(&page());
        assert!(!text.contains("<th>") && text.contains("<th scope=\"col\" class=\"number\">number</th>"));
    }
}
