//! Plots, each a file.

mod bars;
mod growth;
mod lines;
mod peers;

use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::style::RGBColor;

use crate::rows::Rows;

/// A file's name and what is in it.
type Plot = (&'static str, String);

/// Colours that differ for everyone, and in grey, too.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(170, 68, 153),
    RGBColor(136, 108, 0),
    RGBColor(68, 68, 68),
];

const INK: RGBColor = RGBColor(34, 34, 34);
const FONT: &str = "sans-serif";

pub(crate) fn all(growth: &Rows, peers: Option<&Rows>, out: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(out)?;
    let mut plots = growth::plots(growth)?;
    if let Some(peers) = peers {
        plots.extend(peers::plots(peers)?);
    }
    for (name, svg) in plots {
        fs::write(out.join(name).with_extension("svg"), svg)?;
    }
    Ok(())
}
