//! Charts as handwritten SVG: of ratios, of stacked bars, of lines. A white background of their own makes
//! them readable on every page.

use std::fmt::Write as _;

use super::report::Spread;

const WIDTH: f64 = 860.0;
const INK: &str = "#1f2328";
const FAINT: &str = "#59636e";
const GRID: &str = "#d8dee4";
const GOOD: &str = "#2f81c7";
const BAD: &str = "#d9822b";
const NEUTRAL: &str = "#8c959f";

/// The target of a ratio.
#[derive(Clone, Copy, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    pub fn bound(self) -> f64 {
        match self {
            Self::AtLeast(bound) | Self::AtMost(bound) => bound,
        }
    }

    pub fn sign(self) -> &'static str {
        match self {
            Self::AtLeast(_) => "≥",
            Self::AtMost(_) => "≤",
        }
    }
}

pub struct Bar {
    pub label: String,
    pub ratio: Spread,
    pub target: Option<Target>,
}

struct Svg(String);

impl Svg {
    fn new(height: f64, title: &str, lines: &[String]) -> Self {
        let mut svg = Self(String::new());
        let font = "ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif";
        svg.add(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="{font}" font-size="13" role="img" aria-label="{}">"#,
            escape(title)
        ));
        svg.add(format_args!(
            r##"<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff" stroke="{GRID}"/>"##
        ));
        svg.add(format_args!(
            r#"<text x="24" y="34" font-size="17" font-weight="600" fill="{INK}">{}</text>"#,
            escape(title)
        ));
        for (n, line) in lines.iter().enumerate() {
            svg.text(24.0, 56.0 + 18.0 * n as f64, "start", FAINT, line);
        }
        svg
    }

    fn add(&mut self, what: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{what}").unwrap();
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, color: &str, text: &str) {
        let text = escape(text);
        self.add(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{color}">{text}</text>"#
        ));
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, more: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{color}" {more}/>"#
        ));
    }

    fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), color: &str) {
        self.add(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height}" rx="2" fill="{color}" fill-opacity="0.85"/>"#
        ));
    }

    fn done(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Draws horizontal bars of ratios to `one`, with whiskers from the smallest to the largest value, a line at
/// 1, and each bar's target.
pub fn ratios(title: &str, lines: &[String], one: &str, bars: &[Bar]) -> String {
    const ROW: f64 = 38.0;
    const LEFT: f64 = 216.0;
    const RIGHT: f64 = WIDTH - 196.0;
    let top = 84.0 + 18.0 * lines.len() as f64;
    let bottom = top + ROW * bars.len() as f64;
    let largest = bars.iter().flat_map(|bar| [bar.ratio.max, bar.target.map_or(1.0, Target::bound)]);
    let limit = (largest.fold(1.25, f64::max) * 4.0).ceil() / 4.0;
    let x = |ratio: f64| LEFT + (RIGHT - LEFT) * ratio / limit;
    let mut svg = Svg::new(bottom + 66.0, title, lines);
    let step = if limit > 3.0 { 0.5 } else { 0.25 };
    for n in 0..=(limit / step).round() as u32 {
        let ratio = f64::from(n) * step;
        let is_one = (ratio - 1.0).abs() < 1e-9;
        let (color, more) = if is_one { (INK, r#"stroke-width="1.6""#) } else { (GRID, "") };
        svg.line((x(ratio), top - 4.0), (x(ratio), bottom + 4.0), color, more);
        svg.text(x(ratio), bottom + 20.0, "middle", if is_one { INK } else { FAINT }, &format!("{ratio}"));
    }
    svg.text(x(1.0), top - 11.0, "middle", INK, one);
    svg.text(WIDTH - 24.0, top - 11.0, "end", FAINT, "target");
    for (n, bar) in bars.iter().enumerate() {
        row(&mut svg, bar, top + ROW * n as f64, &x);
    }
    let key = "bar: median of the pairs (blue: target met, orange: missed, grey: no target); \
               whisker: smallest to largest; dashed: target";
    svg.text(24.0, bottom + 46.0, "start", FAINT, key);
    svg.done()
}

fn row(svg: &mut Svg, bar: &Bar, y: f64, x: &impl Fn(f64) -> f64) {
    let Spread { median, min, max, .. } = bar.ratio;
    let met = bar.target.is_none_or(|target| target.is_met(median));
    let (middle, zero) = (y + 17.0, x(0.0));
    svg.text(zero - 12.0, middle + 4.5, "end", INK, &bar.label);
    let color = match (bar.target, met) {
        (None, _) => NEUTRAL,
        (Some(_), true) => GOOD,
        (Some(_), false) => BAD,
    };
    svg.bar((zero, y + 7.0), (x(median) - zero, 20.0), color);
    svg.line((x(min), middle), (x(max), middle), INK, r#"stroke-width="1.4""#);
    for end in [min, max] {
        svg.line((x(end), middle - 5.0), (x(end), middle + 5.0), INK, r#"stroke-width="1.4""#);
    }
    let figures = format!("{median:.2} ({min:.2}–{max:.2})");
    svg.text(WIDTH - 184.0, middle + 4.5, "start", INK, &figures);
    if let Some(target) = bar.target {
        let at = x(target.bound());
        svg.line((at, y + 2.0), (at, y + 32.0), BAD, r#"stroke-width="2" stroke-dasharray="4 3""#);
        let text = format!("{} {}", target.sign(), target.bound());
        svg.text(WIDTH - 24.0, middle + 4.5, "end", if met { FAINT } else { BAD }, &text);
    }
}

/// A bar of several parts.
pub struct Stack {
    pub label: String,
    /// As many values as the chart has parts.
    pub parts: Vec<f64>,
    /// Text at the bar's end.
    pub note: String,
}

/// Draws horizontal bars, each with the same parts in the same colours.
pub fn stacks(title: &str, lines: &[String], parts: &[(&str, &str)], stacks: &[Stack]) -> String {
    const ROW: f64 = 44.0;
    const LEFT: f64 = 150.0;
    const RIGHT: f64 = WIDTH - 220.0;
    let top = 102.0 + 18.0 * lines.len() as f64;
    let largest = stacks.iter().map(|stack| stack.parts.iter().sum()).fold(1.0, f64::max);
    let mut svg = Svg::new(top + ROW * stacks.len() as f64 + 12.0, title, lines);
    for (n, (name, color)) in parts.iter().enumerate() {
        let (x, y) = (LEFT + 130.0 * n as f64, top - 34.0);
        svg.bar((x, y), (14.0, 14.0), color);
        svg.text(x + 21.0, y + 11.5, "start", INK, name);
    }
    for (n, Stack { label, parts: values, note }) in stacks.iter().enumerate() {
        let y = top + ROW * n as f64;
        svg.text(LEFT - 12.0, y + 18.5, "end", INK, label);
        let mut x = LEFT;
        for ((_, color), value) in parts.iter().zip(values) {
            let width = (RIGHT - LEFT) * value / largest;
            svg.bar((x, y), (width, 28.0), color);
            x += width;
        }
        svg.text(x + 10.0, y + 18.5, "start", INK, note);
    }
    svg.done()
}

pub struct Series {
    pub name: String,
    pub color: &'static str,
    pub dashed: bool,
    pub points: Vec<(f64, f64)>,
}

/// A chart of lines over a logarithmic scale of milliseconds.
pub struct Lines<'a> {
    pub title: &'a str,
    pub lines: &'a [String],
    /// Marks of the horizontal axis, with their labels.
    pub marks: Vec<(f64, String)>,
    pub x_name: &'a str,
    pub series: Vec<Series>,
    /// Shaded intervals of the horizontal axis, with their names.
    pub bands: Vec<(f64, f64, String)>,
}

impl Lines<'_> {
    pub fn svg(&self) -> String {
        const LEFT: f64 = 76.0;
        const RIGHT: f64 = WIDTH - 210.0;
        let top = 84.0 + 18.0 * self.lines.len() as f64;
        let bottom = top + 300.0;
        let (low, high) = self.decades();
        let (first, last) = self.ends();
        let x = |value: f64| LEFT + (RIGHT - LEFT) * (value - first) / (last - first);
        let y = |value: f64| {
            let share = (value.max(1e-3).log10() - f64::from(low)) / f64::from(high - low);
            bottom - (bottom - top) * share
        };
        let mut svg = Svg::new(bottom + 62.0, self.title, self.lines);
        for (from, to, name) in &self.bands {
            svg.add(format_args!(
                r##"<rect x="{:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" fill="#fff1e0"/>"##,
                x(*from),
                x(*to) - x(*from),
                bottom - top
            ));
            svg.text(f64::midpoint(x(*from), x(*to)), top - 7.0, "middle", BAD, name);
        }
        for decade in low..=high {
            let value = 10_f64.powi(decade);
            svg.line((LEFT, y(value)), (RIGHT, y(value)), GRID, "");
            svg.text(LEFT - 8.0, y(value) + 4.5, "end", FAINT, &format!("{value} ms"));
            for minor in 2..10 {
                let at = y(value * f64::from(minor));
                if decade < high {
                    svg.line((LEFT, at), (RIGHT, at), GRID, r#"stroke-opacity="0.4""#);
                }
            }
        }
        for (at, name) in &self.marks {
            svg.line((x(*at), bottom), (x(*at), bottom + 5.0), FAINT, "");
            svg.text(x(*at), bottom + 21.0, "middle", FAINT, name);
        }
        svg.text(f64::midpoint(LEFT, RIGHT), bottom + 44.0, "middle", FAINT, self.x_name);
        for (n, series) in self.series.iter().enumerate() {
            let place = |(a, b): &(f64, f64)| (x(*a), y(*b));
            draw(&mut svg, series, &series.points.iter().map(place).collect::<Vec<_>>());
            legend(&mut svg, series, (RIGHT + 24.0, top + 12.0 + 24.0 * n as f64));
        }
        svg.done()
    }

    /// Returns the powers of ten around all values.
    fn decades(&self) -> (i32, i32) {
        let values = || self.series.iter().flat_map(|series| &series.points).map(|point| point.1.max(1e-3));
        let low = values().fold(f64::MAX, f64::min).log10().floor() as i32;
        let high = values().fold(1e-3, f64::max).log10().ceil() as i32;
        (low, high.max(low + 1))
    }

    fn ends(&self) -> (f64, f64) {
        let points = || self.series.iter().flat_map(|series| &series.points).map(|point| point.0);
        let values = || points().chain(self.marks.iter().map(|mark| mark.0));
        (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max))
    }
}

fn dash(series: &Series) -> &'static str {
    if series.dashed { r#"stroke-width="2" stroke-dasharray="6 4""# } else { r#"stroke-width="2""# }
}

fn draw(svg: &mut Svg, series: &Series, points: &[(f64, f64)]) {
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let (color, more) = (series.color, dash(series));
    svg.add(format_args!(
        r#"<polyline points="{}" fill="none" stroke="{color}" stroke-linejoin="round" {more}/>"#,
        path.join(" ")
    ));
    if points.len() <= 12 {
        for (x, y) in points {
            svg.add(format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{color}"/>"#));
        }
    }
}

fn legend(svg: &mut Svg, series: &Series, (x, y): (f64, f64)) {
    svg.line((x, y), (x + 26.0, y), series.color, dash(series));
    svg.text(x + 34.0, y + 4.5, "start", INK, &series.name);
}
