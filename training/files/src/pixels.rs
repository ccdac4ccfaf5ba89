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

/// Maximum width and height of an image of surroundings, in pixels.
pub const MAX_ENVIRONMENT_PX: [u32; 2] = [8192, 4096];
/// Maximum size of a pixel in a file or in memory, in bytes: four channels of 32-bit floats.
const MAX_BYTES_PER_PX: u64 = 16;
/// Maximum width and height of an OpenEXR image's tiles, in pixels.
const MAX_TILE_PX: usize = 8192;
/// Size of headers, colour profiles and tables of offsets, in bytes.
const OVERHEAD_BYTES: u64 = 1 << 20;

/// An image format of the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// PNG with 8 or 16 bits.
    Png,
    /// OpenEXR with half or whole floats.
    OpenExr,
}

/// The size that an image has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Square, with the edge that a manifest gives.
    Edge {
        /// Width and height, in pixels.
        px: u32,
        /// Name of the manifest.
        said_by: &'static str,
    },
    /// Any size up to a width and height, in pixels.
    AtMost([u32; 2]),
}

/// An error of decoding an image.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The image has another format, is damaged, or needs more memory than its size allows.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The header asks for something that no image of the data set has.
    #[error("its header says {found}: expected {expected}")]
    Header {
        /// Values that are accepted.
        expected: String,
        /// Value found.
        found: String,
    },
    /// The image holds what the network would take for something else.
    #[error("{found}: expected {expected}; {mend}")]
    Content {
        /// Property that is not accepted.
        found: String,
        /// Property that is.
        expected: &'static str,
        /// Way out.
        mend: &'static str,
    },
    /// The image has another size.
    #[error("{found:?} pixels: expected another size")]
    Size {
        /// Width and height, in pixels.
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
    fn max(self) -> [u32; 2] {
        match self {
            Self::Edge { px, .. } => [px; 2],
            Self::AtMost(max) => max,
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
            Self::AtMost(max) => format!("1 to {max:?} px"),
        }
    }

    /// Returns the maximum size of an image of this size, as a file or decoded, in bytes.
    pub fn max_bytes(self) -> u64 {
        let [width, height] = self.max().map(u64::from);
        width.saturating_mul(height).saturating_mul(MAX_BYTES_PER_PX).saturating_add(OVERHEAD_BYTES)
    }
}

/// Decodes an image that is in memory.
///
/// # Errors
/// Fails when the image is not of this format and size, is damaged, or needs more memory than its size explains.
pub fn decode(content: &[u8], format: Format, size: Size) -> Result<DynamicImage, DecodeError> {
    Ok(DynamicImage::from_decoder(decoder(content, format, size)?)?)
}

/// Makes the decoder of an image that is in memory, once its header is known to be harmless.
///
/// # Errors
/// Fails as [`decode`] does.
pub(crate) fn decoder(content: &[u8], format: Format, size: Size) -> Result<impl ImageDecoder, DecodeError> {
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
    limits.max_alloc = Some(size.max_bytes());
    let mut reader = ImageReader::with_format(Cursor::new(content), format);
    reader.limits(limits);
    let decoder = reader.into_decoder()?;
    size.check(decoder.dimensions().into())?;
    Ok(decoder)
}

/// Reads and decodes an image.
///
/// # Errors
/// Fails as [`decode`] does, and when the file cannot be read or is larger than any such image.
pub fn read(path: &Path, format: Format, size: Size) -> Result<DynamicImage, FileError> {
    let content = bounded::read(path, size.max_bytes()).map_err(FileError::io(path))?;
    decode(&content, format, size).map_err(|error| match error {
        DecodeError::Size { found } => FileError::ImageSize { path: path.into(), expected: size.in_words(), found },
        other => FileError::Image { path: path.into(), format: format.name(), reason: other.to_string() },
    })
}

/// Compares width and height, which stand at a fixed place of a PNG, before the decoder makes a buffer for a row.
fn check_png_header(content: &[u8], size: Size) -> Result<(), DecodeError> {
    match content.get(8..24).map(|header| header.as_chunks::<4>().0) {
        Some([_, [b'I', b'H', b'D', b'R'], width, height]) => {
            size.check([width, height].map(|px| u32::from_be_bytes(*px)))
        }
        // The decoder says what is wrong.
        _ => Ok(()),
    }
}

/// Compares an OpenEXR header's sizes. The decoder makes buffers for a whole layer, which may be larger than the picture that
/// shows it, and for whole blocks of the layer, as large as the header says.
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
    let [width, height] = size.max();
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
    if block_bytes > size.max_bytes() {
        return Err(DecodeError::Header {
            expected: format!("at most {}", size.max_bytes()),
            found: format!("blocks of {block_bytes} bytes"),
        });
    }
    Ok(())
}
