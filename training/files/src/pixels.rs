//! PNG and OpenEXR, decoded only after their header asks for no more than it may.
//!
//! A compressed image may unpack to a thousand times its size, and a header of a hundred bytes may ask for terabytes. So
//! the size is known before the file is read, compared before pixels are decoded, and the decoders get a budget.

use std::io::Cursor;
use std::path::Path;

use exr::meta::attribute::TileDescription;
use exr::meta::{BlockDescription, MetaData};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use thiserror::Error;

use crate::bounded;
use crate::error::FileError;

/// Largest image of surroundings, pixels.
pub const MAX_ENVIRONMENT_PX: [u32; 2] = [8192, 4096];
/// Most that a pixel takes, in a file or in memory: four channels of 32-bit floats.
const MOST_BYTES_PER_PX: u64 = 16;
/// Largest tile of an OpenEXR image, pixels.
const MAX_TILE_PX: usize = 8192;
/// For headers, colour profiles and tables of offsets.
const OVERHEAD_BYTES: u64 = 1 << 20;

/// Formats of the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 8 or 16 bits.
    Png,
    /// Half or whole floats.
    OpenExr,
}

/// What an image has to measure, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Square, with the edge that a manifest gives.
    Edge {
        /// Width and height.
        px: u32,
        /// The manifest.
        said_by: &'static str,
    },
    /// Any, up to a width and height.
    AtMost([u32; 2]),
}

/// Why an image cannot be decoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not such an image, damaged, or more than its size allows.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The header asks for something that no image of ours has.
    #[error("its header says {found}: expected {expected}")]
    Header {
        /// What is accepted.
        expected: String,
        /// What was found.
        found: String,
    },
    /// An image of another size.
    #[error("{found:?} pixels: expected another size")]
    Size {
        /// Width and height.
        found: [u32; 2],
    },
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::OpenExr => "OpenEXR",
        }
    }
}

impl Size {
    fn most(self) -> [u32; 2] {
        match self {
            Self::Edge { px, .. } => [px; 2],
            Self::AtMost(most) => most,
        }
    }

    fn allows(self, found: [u32; 2]) -> bool {
        match self {
            Self::Edge { px, .. } => found == [px; 2],
            Self::AtMost([width, height]) => (1..=width).contains(&found[0]) && (1..=height).contains(&found[1]),
        }
    }

    fn check(self, found: [u32; 2]) -> Result<(), DecodeError> {
        if self.allows(found) { Ok(()) } else { Err(DecodeError::Size { found }) }
    }

    fn in_words(self) -> String {
        match self {
            Self::Edge { px, said_by } => format!("{:?} px as {said_by} says", [px; 2]),
            Self::AtMost(most) => format!("1 to {most:?} px"),
        }
    }

    /// Most bytes that an image of this size takes, as a file or decoded.
    pub fn most_bytes(self) -> u64 {
        let [width, height] = self.most().map(u64::from);
        width.saturating_mul(height).saturating_mul(MOST_BYTES_PER_PX).saturating_add(OVERHEAD_BYTES)
    }
}

/// Decodes an image that is in memory.
///
/// # Errors
/// When it is not of this format and size, is damaged, or needs more memory than its size explains.
pub fn decode(content: &[u8], format: Format, size: Size) -> Result<DynamicImage, DecodeError> {
    let format = match format {
        Format::Png => {
            check_png_header(content, size)?;
            ImageFormat::Png
        }
        Format::OpenExr => {
            check_exr_header(content, size)?;
            ImageFormat::OpenExr
        }
    };
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(size.most_bytes());
    let mut reader = ImageReader::with_format(Cursor::new(content), format);
    reader.limits(limits);
    let decoder = reader.into_decoder()?;
    size.check(decoder.dimensions().into())?;
    Ok(DynamicImage::from_decoder(decoder)?)
}

/// Reads and decodes an image.
///
/// # Errors
/// As [`decode`], or when the file cannot be read or is larger than any such image.
pub fn read(path: &Path, format: Format, size: Size) -> Result<DynamicImage, FileError> {
    let content = bounded::read(path, size.most_bytes()).map_err(FileError::io(path))?;
    decode(&content, format, size).map_err(|error| match error {
        DecodeError::Size { found } => FileError::ImageSize { path: path.into(), expected: size.in_words(), found },
        other => FileError::Image { path: path.into(), format: format.name(), reason: other.to_string() },
    })
}

/// Width and height stand at a fixed place: they are compared before the decoder makes a buffer for a row.
fn check_png_header(content: &[u8], size: Size) -> Result<(), DecodeError> {
    match content.get(8..24).map(|header| header.as_chunks::<4>().0) {
        Some([_, [b'I', b'H', b'D', b'R'], width, height]) => {
            size.check([width, height].map(|px| u32::from_be_bytes(*px)))
        }
        // The decoder says what is wrong.
        _ => Ok(()),
    }
}

/// The decoder makes buffers for a whole layer, which may be larger than the picture it is seen in, and for whole blocks of
/// it, as large as the header says.
fn check_exr_header(content: &[u8], size: Size) -> Result<(), DecodeError> {
    let headers = match MetaData::read_from_buffered(content, false) {
        Ok(data) => data.headers,
        // The decoder says what is wrong.
        Err(_) => return Ok(()),
    };
    let [header] = headers.as_slice() else {
        return Err(DecodeError::Header { expected: "1 layer".into(), found: format!("{} layers", headers.len()) });
    };
    let picture = header.shared_attributes.display_window.size;
    size.check([picture.width(), picture.height()].map(|px| u32::try_from(px).unwrap_or(u32::MAX)))?;
    let layer = header.layer_size;
    let [width, height] = size.most();
    if layer.width() > width as usize || layer.height() > height as usize {
        let [expected, found] = [[width as usize, height as usize], [layer.width(), layer.height()]];
        return Err(DecodeError::Header {
            expected: format!("at most {expected:?}"),
            found: format!("a layer of {found:?} pixels"),
        });
    }
    if let BlockDescription::Tiles(TileDescription { tile_size: tile, .. }) = header.blocks
        && tile.width().max(tile.height()) > MAX_TILE_PX
    {
        return Err(DecodeError::Header {
            expected: format!("at most {:?}", [MAX_TILE_PX; 2]),
            found: format!("tiles of {:?} pixels", [tile.width(), tile.height()]),
        });
    }
    let block_bytes = header.max_block_byte_size() as u64;
    if block_bytes > size.most_bytes() {
        return Err(DecodeError::Header {
            expected: format!("at most {}", size.most_bytes()),
            found: format!("blocks of {block_bytes} bytes"),
        });
    }
    Ok(())
}
