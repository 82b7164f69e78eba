//! One run as a picture for the docs.
use super::world::{Period, World};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 45.0;
/// Top of the scales: MB/s and MB.
const RATE_MAX: f64 = 25.0;
const LAG_MAX: f64 = 100.0;
const MB: f64 = 1e6;

/// Limit, capacity and lag of the first group over time.
pub(super) fn svg(world: &World) -> String {
    let end = world.log.last().map_or(1.0, |p| p.t);
    let x = |t: f64| LEFT + (WIDTH - LEFT - RIGHT) * t / end;
    let y = |value: f64, most: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value / most).clamp(0.0, 1.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">A sink falls from 20 to 4 MB/s at 60 s; target: 10 s of lag (40 MB)</text>\n"
    );
    for step in 0..=5 {
        let share = f64::from(step) / 5.0;
        let line = y(share, 1.0);
        let _ = write!(
            out,
            "<line x1=\"{LEFT}\" y1=\"{line:.1}\" x2=\"{}\" y2=\"{line:.1}\" stroke=\"#ddd\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
             <text x=\"{}\" y=\"{:.1}\">{}</text>\n",
            WIDTH - RIGHT,
            LEFT - 6.0,
            line + 4.0,
            RATE_MAX * share,
            WIDTH - RIGHT + 6.0,
            line + 4.0,
            LAG_MAX * share,
        );
    }
    for t in (0..=300).step_by(60) {
        let at = x(f64::from(t));
        let _ =
            writeln!(out, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{t} s</text>", HEIGHT - BOTTOM + 18.0);
    }
    let mut line = |name: &str, colour: &str, place: f64, value: &dyn Fn(&Period) -> Option<f64>| {
        let points: Vec<String> =
            world.log.iter().filter_map(|p| value(p).map(|y| format!("{:.1},{y:.1}", x(p.t)))).collect();
        let _ = write!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\"{}\"/>\n\
             <text x=\"{place}\" y=\"38\" fill=\"{colour}\">{name}</text>\n",
            points.join(" ")
        );
    };
    line("limit, MB/s (left)", "#c0392b", LEFT, &|p| {
        Some(p.groups[0].limit).filter(|limit| limit.is_finite()).map(|limit| y(limit / MB, RATE_MAX))
    });
    line("estimated capacity, MB/s (left)", "#2471a3", 200.0, &|p| Some(y(p.groups[0].capacity / MB, RATE_MAX)));
    line("lag, MB (right)", "#7d6608", 420.0, &|p| Some(y(p.lags[0] / MB, LAG_MAX)));
    out.push_str("</svg>\n");
    out
}
