//! QR codes as text, two rows of the code in one of the terminal.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// What a screen would show.
pub(crate) fn code(data: &[u8]) -> String {
    match QrCode::with_error_correction_level(data, EcLevel::L) {
        Ok(code) => code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build(),
        Err(error) => format!("(no code: {error})"),
    }
}
