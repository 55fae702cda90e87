//! Bars of peers beside each other, in panels.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{COLOURS, FONT, INK};
use crate::rows::OWN;
use crate::units;

const WIDTH: i32 = 980;
/// Pixels of one bar and the gap below it.
const BAR: i32 = 22;
/// Pixels for the name of a bar.
const NAME: i32 = 210;
/// Pixels for the figure behind a bar.
const FIGURE: i32 = 76;
const OTHERS: RGBColor = RGBColor(150, 150, 150);

/// Bars of one kind.
pub(crate) struct Panel {
    pub(crate) heading: String,
    pub(crate) unit: String,
    /// Names and figures. Those of this library begin with its name.
    pub(crate) bars: Vec<(String, f64)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failed<'a> = Box<dyn Error + 'a>;

/// Two panels side by side, as many rows as it takes.
pub(crate) fn svg(title: &str, panels: &[Panel]) -> Result<String, Box<dyn Error>> {
    let heights: Vec<i32> = panels.chunks(2).map(|pair| pair.iter().map(Panel::height).max().unwrap_or(0)).collect();
    let height = 48 + heights.iter().sum::<i32>();
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32)).into_drawing_area();
    draw(&area, title, panels, &heights).map_err(|error| error.to_string())?;
    drop(area);
    Ok(svg)
}

fn draw<'a>(area: &Area<'a>, title: &str, panels: &[Panel], heights: &[i32]) -> Result<(), Failed<'a>> {
    area.fill(&WHITE)?;
    area.draw(&Text::new(title.to_owned(), (16, 12), (FONT, 19).into_font().color(&INK)))?;
    let mut top = 48;
    for (pair, height) in panels.chunks(2).zip(heights) {
        for (panel, left) in pair.iter().zip([16, WIDTH / 2 + 8]) {
            panel.draw(area, (left, top))?;
        }
        top += height;
    }
    Ok(area.present()?)
}

impl Panel {
    fn height(&self) -> i32 {
        24 + BAR * self.bars.len() as i32 + 18
    }

    /// The best first; which that is the heading says.
    fn draw<'a>(&self, area: &Area<'a>, (left, top): (i32, i32)) -> Result<(), Failed<'a>> {
        let heading = (FONT, 17).into_font().style(FontStyle::Bold).color(&INK);
        area.draw(&Text::new(self.heading.clone(), (left, top), heading))?;
        let most = self.bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        let room = f64::from(WIDTH / 2 - 24 - NAME - FIGURE);
        for (i, (name, value)) in self.bars.iter().enumerate() {
            let (y, start) = (top + 24 + BAR * i as i32, left + NAME);
            let end = start + ((value / most * room).round() as i32).max(1);
            let colour = if name.starts_with(OWN) { COLOURS[0] } else { OTHERS };
            let text = |h| (FONT, 15).into_font().color(&INK).pos(Pos::new(h, VPos::Center));
            area.draw(&Text::new(name.clone(), (start - 6, y + BAR / 2), text(HPos::Right)))?;
            area.draw(&Rectangle::new([(start, y + 3), (end, y + BAR - 3)], colour.filled()))?;
            let figure = units::value(*value, &self.unit);
            area.draw(&Text::new(figure, (end + 5, y + BAR / 2), text(HPos::Left)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bar_has_its_name_and_figure_and_ours_another_colour() {
        let bars = vec![(OWN.to_owned(), 20_000.0), ("other".to_owned(), 40_000.0)];
        let panel = |heading: &str| Panel { heading: heading.into(), unit: "ns".into(), bars: bars.clone() };
        let svg = svg("Two", &[panel("first"), panel("second"), panel("third")]).unwrap();
        assert!(svg.len() < 60_000);
        for (text, times) in [("Two", 1), ("third", 1), ("other", 3), ("40.0 µs", 3), ("#0072B2", 3), ("#969696", 3)] {
            assert_eq!(svg.matches(text).count(), times, "{text}: {svg}");
        }
    }
}
