//! SVG to PNG, with the embedded font: the same picture on a machine without any font.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// The font `DejaVu` Sans 2.37, unmodified; its licence stands beside it.
static FONT: &[u8] = include_bytes!("../font/DejaVuSans.ttf");

/// The font's name: every generic family is mapped to it, because text in an unknown family vanishes silently.
const FAMILY: &str = "DejaVu Sans";

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    fonts.set_serif_family(FAMILY);
    fonts.set_monospace_family(FAMILY);
    Arc::new(fonts)
});

/// The most pixels on a side of a PNG.
const MAX_SIDE: f32 = 16_384.0;

/// Why an SVG did not become a PNG.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The text is not an SVG document.
    #[error("read the picture as svg: {0}")]
    Svg(#[from] resvg::usvg::Error),
    /// The scaled picture is empty or too large.
    #[error("draw a picture of {width}×{height} pixels: each side must be 1 to {MAX_SIDE}")]
    Size {
        /// Pixels across.
        width: f32,
        /// Pixels down.
        height: f32,
    },
    /// The pixels could not be encoded.
    #[error("encode the picture as png: {0}")]
    Encode(String),
}

/// Reads an SVG with the embedded font alone.
pub(super) fn tree(svg: &str) -> Result<Tree, PlotError> {
    let options = Options { font_family: FAMILY.to_owned(), fontdb: Arc::clone(&FONTS), ..Options::default() };
    Ok(Tree::from_str(svg, &options)?)
}

/// Draws `svg` with `scale` pixels per SVG unit (2 for a crisp picture on paper and screens) and encodes it as PNG.
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>, PlotError> {
    let tree = tree(svg)?;
    let (width, height) = ((tree.size().width() * scale).round(), (tree.size().height() * scale).round());
    let fits = |side: f32| (1.0..=MAX_SIDE).contains(&side);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let canvas = (fits(width) && fits(height)).then(|| Pixmap::new(width as u32, height as u32)).flatten();
    let mut canvas = canvas.ok_or(PlotError::Size { width, height })?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut canvas.as_mut());
    canvas.encode_png().map_err(|error| PlotError::Encode(error.to_string()))
}
