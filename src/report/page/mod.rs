//! A report as one HTML page: headings, texts, tables and pictures in, text out. It needs no script, no network and no
//! other file; every word from outside is escaped, and the page is well-formed XML too.

mod html;

pub use html::html;

/// A page.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// What stands below the title.
    pub lead: Vec<String>,
    /// Its sections, which the table of contents lists.
    pub sections: Vec<Section>,
}

/// A section.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What is in it.
    pub blocks: Vec<Block>,
}

/// Something in a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A heading within the section.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// A paragraph that is not to be missed.
    Notice(String),
    /// Points.
    List(Vec<String>),
    /// Text as it is.
    Code(String),
    /// Rows and columns.
    Table(PageTable),
    /// A picture.
    Figure(PageFigure),
    /// What is shown when it is asked for, and on paper.
    Fold(String, Vec<Block>),
}

/// A table; the first cell of each row is its heading.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PageTable {
    /// What it shows.
    pub caption: String,
    /// The columns' headings; none where rows are names and values.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How.
    pub tone: Tone,
}

/// How a cell says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Plainly.
    Plain,
    /// As a number: to the right.
    Number,
    /// As the best of its kind.
    Best,
    /// As a number that should not be so.
    Alarm,
    /// As a yes.
    Yes,
    /// As a no.
    No,
    /// As neither.
    Open,
}

impl Cell {
    /// A cell.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// A plain one.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// A picture with its file.
#[derive(Debug, Clone, PartialEq)]
pub struct PageFigure {
    /// The file's name without ending and folder.
    pub name: String,
    /// What it shows and how to read it.
    pub caption: String,
    /// The picture.
    pub svg: String,
}

impl Page {
    /// All pictures, in the order of the page.
    pub fn figures(&self) -> Vec<&PageFigure> {
        fn collect<'a>(blocks: &'a [Block], found: &mut Vec<&'a PageFigure>) {
            for block in blocks {
                match block {
                    Block::Figure(figure) => found.push(figure),
                    Block::Fold(_, blocks) => collect(blocks, found),
                    _ => {}
                }
            }
        }
        let mut found = Vec::new();
        self.sections.iter().for_each(|section| collect(&section.blocks, &mut found));
        found
    }
}
