//! Lines over the members of a group, on a logarithmic axis.

use std::error::Error;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{COLOURS, FONT, INK};
use crate::units;

const SIZE: (u32, u32) = (860, 440);
/// Pixels to the right of the axes, for the names of the lines.
const NAMES: u32 = 230;
/// Pixels between two names.
const APART: i32 = 18;

/// A chart.
pub(crate) struct Lines<'a> {
    pub(crate) title: String,
    /// What the vertical axis shows.
    pub(crate) axis: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) logarithmic: bool,
    pub(crate) lines: Vec<(String, Vec<(u64, f64)>)>,
}

/// An axis: from, to, and where it is marked.
struct Axis {
    range: (f64, f64),
    marks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let share = (value - self.range.0) / (self.range.1 - self.range.0);
        start + (share * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.iter().copied().filter(|mark| (self.range.0..=self.range.1).contains(mark)).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.range.0..self.range.1
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failed<'a> = Box<dyn Error + 'a>;

impl Lines<'_> {
    pub(crate) fn svg(&self) -> Result<String, Box<dyn Error>> {
        let mut svg = String::new();
        self.draw(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area()).map_err(|error| error.to_string())?;
        Ok(svg)
    }

    fn draw<'a>(&self, area: &Area<'a>) -> Result<(), Failed<'a>> {
        area.fill(&WHITE)?;
        area.draw(&Text::new(self.title.clone(), (16, 12), (FONT, 19).into_font().color(&INK)))?;
        let (x, y) = (self.members(), if self.logarithmic { self.powers() } else { self.steps() });
        let mut chart = ChartBuilder::on(area)
            .margin_top(48)
            .margin_left(12)
            .margin_bottom(8)
            .margin_right(NAMES)
            .x_label_area_size(48)
            .y_label_area_size(84)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(221, 221, 221))
            .axis_style(INK)
            .label_style((FONT, 15).into_font().color(&INK))
            .x_label_formatter(&|x| units::count(10_f64.powf(*x).round() as u64))
            .y_label_formatter(&|y| units::tick(self.value(*y), self.unit))
            .x_desc("members of the group")
            .y_desc(self.axis)
            .draw()?;
        let mut names = Vec::new();
        for ((name, points), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let points: Vec<(f64, f64)> = points.iter().map(|(n, v)| ((*n as f64).log10(), self.place(*v))).collect();
            chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
            if let Some(last) = points.last() {
                names.push((chart.backend_coord(last), name.as_str(), *colour));
            }
        }
        name_lines(area, names)?;
        Ok(area.present()?)
    }

    /// Where a figure stands on the vertical axis.
    fn place(&self, value: f64) -> f64 {
        if self.logarithmic { value.log10() } else { value }
    }

    fn value(&self, place: f64) -> f64 {
        if self.logarithmic { 10_f64.powf(place) } else { place }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.lines.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| *value))
    }

    fn members(&self) -> Axis {
        let mut marks: Vec<f64> =
            self.lines.iter().flat_map(|(_, points)| points.iter().map(|(n, _)| (*n as f64).log10())).collect();
        marks.sort_by(f64::total_cmp);
        marks.dedup();
        let ends = (marks.first().copied().unwrap_or(0.0), marks.last().copied().unwrap_or(1.0));
        Axis { range: (ends.0 - 0.12, ends.1 + 0.12), marks }
    }

    /// Whole powers of ten around what is shown.
    fn powers(&self) -> Axis {
        let low = self.values().fold(f64::INFINITY, f64::min).max(1.0).log10().floor();
        let high = self.values().fold(10.0, f64::max).log10().ceil();
        Axis { range: (low, high), marks: (low as i32..=high as i32).map(f64::from).collect() }
    }

    /// From zero, in steps of one, two or five.
    fn steps(&self) -> Axis {
        let high = self.values().fold(1.0, f64::max) * 1.12;
        let power = 10_f64.powf((high / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|by| by * power).find(|step| high / step <= 6.0);
        let step = step.unwrap_or(high);
        let marks = (0..=6).map(|i| f64::from(i) * step).filter(|mark| *mark <= high);
        Axis { range: (0.0, high), marks: marks.collect() }
    }
}

/// Writes the name of each line at its end, moved where two would cover each other.
fn name_lines<'a>(area: &Area<'a>, mut names: Vec<((i32, i32), &str, RGBColor)>) -> Result<(), Failed<'a>> {
    names.sort_by_key(|((_, y), ..)| *y);
    let mut heights: Vec<i32> = names.iter().map(|((_, y), ..)| *y).collect();
    spread(&mut heights, SIZE.1 as i32 - 70);
    for (((x, y), name, colour), height) in names.into_iter().zip(heights) {
        let style = (FONT, 16).into_font().color(&colour).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&PathElement::new(vec![(x + 7, y), (x + 16, height)], colour.mix(0.6)))?;
        area.draw(&Text::new(name.to_owned(), (x + 20, height), style))?;
    }
    Ok(())
}

/// Moves sorted heights apart, downwards, and back up if they then pass `bottom`.
fn spread(heights: &mut [i32], bottom: i32) {
    let mut least = i32::MIN;
    for height in heights.iter_mut() {
        *height = (*height).max(least);
        least = height.saturating_add(APART);
    }
    let mut most = bottom;
    for height in heights.iter_mut().rev() {
        *height = (*height).min(most);
        most = height.saturating_sub(APART);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(logarithmic: bool) -> Lines<'static> {
        let lines = vec![
            ("one".to_owned(), vec![(2, 40_000.0), (10_000, 41_000.0)]),
            ("two".to_owned(), vec![(2, 40_100.0), (10_000, 41_100.0)]),
        ];
        Lines { title: "A finding".into(), axis: "time", unit: "ns", logarithmic, lines }
    }

    #[test]
    fn a_chart_has_a_white_ground_axes_with_units_and_a_name_for_each_line() {
        for logarithmic in [true, false] {
            let svg = chart(logarithmic).svg().unwrap();
            assert!(svg.starts_with("<svg") && svg.len() < 60_000);
            assert!(svg.contains(r##"fill="#FFFFFF""##), "{svg}");
            for text in ["A finding", "members of the group", "time", "10,000", "one", "two", " µs"] {
                assert!(svg.contains(text), "{text} is missing: {svg}");
            }
        }
    }

    #[test]
    fn steps_are_round_and_start_at_zero() {
        let axis = chart(false).steps();
        assert_eq!(axis.range.0, 0.0);
        assert_eq!(axis.marks, [0.0, 10_000.0, 20_000.0, 30_000.0, 40_000.0]);
    }

    #[test]
    fn names_do_not_cover_each_other() {
        let mut heights = [10, 12, 13, 300];
        spread(&mut heights, 400);
        assert_eq!(heights, [10, 28, 46, 300]);
        let mut heights = [390, 395];
        spread(&mut heights, 400);
        assert_eq!(heights, [382, 400]);
    }
}
