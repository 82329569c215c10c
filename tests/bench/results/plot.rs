//! Plots, as SVG.

use plotters::prelude::*;

use crate::{
    machine,
    report::{Figure, Rate},
};

/// A drawing.
pub(super) struct Plot {
    pub(super) file: String,
    pub(super) title: String,
    pub(super) svg: String,
}

/// Points of one filter or engine, by number of entries.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// What is drawn of some lines, both axes logarithmic.
struct Axes<'a> {
    file: String,
    title: String,
    x: &'a str,
    y: &'a str,
}

/// Colours that those who do not see all of them still tell apart (Okabe and Ito:
/// Color Universal Design).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(140, 140, 140),
];

const SIZE: (u32, u32) = (960, 480);
/// Width of the part with the lines' names.
const NAMES: u32 = 170;
const FONT: (&str, u32) = ("sans-serif", 15);

/// Every plot for which enough was measured.
pub(super) fn all(rates: &[Rate], figures: &[Figure]) -> Vec<Plot> {
    let mut plots = Vec::new();
    for family in ["ipv4", "ipv6"] {
        for sources in ["listed", "unlisted", "mixed"] {
            plots.extend(growth(rates, family, sources));
        }
    }
    plots.extend(memory(figures));
    plots.extend(cache_line(figures));
    plots
}

/// The growth curve: rates over entries.
fn growth(rates: &[Rate], family: &str, sources: &str) -> Option<Plot> {
    let wanted = rates.iter().filter(|r| {
        r.bench == "syn-rate" && r.list == "mix" && r.family == family && r.sources == sources
    });
    let points = wanted.map(|r| (r.name(), (r.entries as f64, r.mpps)));
    draw(
        Axes {
            file: format!("growth-{family}-{sources}.svg"),
            title: format!("SYNs judged: {family}, {sources} sources, block list"),
            x: "entries",
            y: "million packets a second",
        },
        &lines(points),
    )
}

fn memory(figures: &[Figure]) -> Option<Plot> {
    let kinds = [("kernel-memory", "kernel"), ("agent-memory", "agent")];
    let points = kinds.into_iter().flat_map(|(bench, name)| {
        let wanted = figures.iter().filter(move |f| f.bench == bench);
        wanted.map(move |f| (format!("{name}, {}", f.engine), (f.entries as f64, f.value)))
    });
    draw(
        Axes {
            file: "memory.svg".to_owned(),
            title: "Memory after an apply".to_owned(),
            x: "entries",
            y: "MiB",
        },
        &lines(points),
    )
}

fn cache_line(figures: &[Figure]) -> Option<Plot> {
    let wanted = figures.iter().filter(|f| f.bench == "cache-line");
    let points = wanted.map(|f| {
        let mib = f.entries / machine::LINES_PER_MIB;
        ("one load after another".to_owned(), (mib as f64, f.value))
    });
    draw(
        Axes {
            file: "cache-line.svg".to_owned(),
            title: "What a cold cache line costs".to_owned(),
            x: "MiB of memory in use",
            y: "nanoseconds",
        },
        &lines(points),
    )
}

fn lines(points: impl Iterator<Item = (String, (f64, f64))>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (name, point) in points {
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line {
                name,
                points: vec![point],
            }),
        }
    }
    lines
}

/// `None` where there is nothing to connect.
fn draw(axes: Axes<'_>, lines: &[Line]) -> Option<Plot> {
    if !lines.iter().any(|line| line.points.len() > 1) {
        return None;
    }
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let values = || lines.iter().flat_map(|l| &l.points).map(of);
        (
            values().fold(f64::INFINITY, f64::min),
            values().fold(0.0, f64::max),
        )
    };
    let (x, y) = (bounds(|p| p.0), bounds(|p| p.1));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).expect("draw");
        let (chart, names) = area.split_horizontally(SIZE.0 - NAMES);
        let mut chart = ChartBuilder::on(&chart)
            .caption(&axes.title, ("sans-serif", 20))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(
                (x.0 * 0.9..x.1 * 1.1).log_scale(),
                (y.0 * 0.8..y.1 * 1.25).log_scale(),
            )
            .expect("draw");
        chart
            .configure_mesh()
            .x_desc(axes.x)
            .y_desc(axes.y)
            .x_label_formatter(&|v| label(*v))
            .y_label_formatter(&|v| label(*v))
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .label_style(FONT)
            .draw()
            .expect("draw");
        for (row, (line, colour)) in (0..).zip(lines.iter().zip(COLOURS.iter().cycle())) {
            let stroke = colour.stroke_width(2);
            let points = || line.points.iter().copied();
            chart
                .draw_series(LineSeries::new(points(), stroke))
                .expect("draw");
            chart
                .draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))
                .expect("draw");
            let at = 60 + 24 * row;
            names
                .draw(&PathElement::new([(0, at), (22, at)], stroke))
                .expect("draw");
            names
                .draw(&Text::new(line.name.clone(), (30, at - 7), FONT))
                .expect("draw");
        }
        area.present().expect("draw");
    }
    Some(Plot {
        file: axes.file,
        title: axes.title,
        svg,
    })
}

/// "100k", "0.5".
fn label(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{}M", v / 1e6),
        v if v >= 1e3 => format!("{}k", v / 1e3),
        v => format!("{v}"),
    }
}
