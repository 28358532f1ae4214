//! The chart of `eval`: bits per weight against divergence.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Row;

const SIZE: (u32, u32) = (900, 600);
/// The side of a point and the font of its label, in pixels.
const POINT: i32 = 4;
const FONT: (&str, u32) = ("sans-serif", 15);

/// Draws a point for each format, the divergence on a logarithmic axis. Where it is 0 there is no
/// such point; those formats are named below the axis.
pub fn write(path: &Path, rows: &[Row]) -> Result<()> {
    let mut svg = String::new();
    draw(&mut svg, rows).map_err(|error| anyhow!("the chart cannot be drawn: {error}"))?;
    Ok(std::fs::write(path, svg)?)
}

fn draw(svg: &mut String, rows: &[Row]) -> Result<(), Box<dyn std::error::Error>> {
    let point = |r: &Row| (r.matrix_bits_per_weight, r.comparison.kl);
    let (mut shown, same): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|r| r.comparison.kl > 0.0);
    shown.sort_by(|a, b| point(a).0.total_cmp(&point(b).0));
    let bits = range(shown.iter().map(|r| point(r).0)).unwrap_or((1.0, 16.0));
    let kl = range(shown.iter().map(|r| point(r).1)).unwrap_or((1e-4, 1.0));

    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Number formats: size and divergence from the file", ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(70)
        .y_label_area_size(80)
        .build_cartesian_2d(bits.0 - 0.5..bits.1 + 0.5, (kl.0 / 3.0..kl.1 * 3.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(x_title(&same))
        .y_desc("mean KL(file ‖ format), nats per token")
        .y_label_formatter(&|kl| format!("{kl:.0e}"))
        .label_style(FONT)
        .max_light_lines(0)
        .draw()?;
    // Neighbours are named above and below in turn, so that their names do not meet.
    let label = |at| FONT.into_text_style(&area).pos(Pos::new(HPos::Center, at));
    let places = [(-2 * POINT, label(VPos::Bottom)), (2 * POINT, label(VPos::Top))];
    chart.draw_series(shown.iter().zip(places.iter().cycle()).map(|(row, (down, style))| {
        EmptyElement::at(point(row))
            + Circle::new((0, 0), POINT, BLUE.filled())
            + Text::new(row.name(), (0, *down), style.clone())
    }))?;
    area.present()?;
    drop(chart);
    Ok(())
}

fn x_title(same: &[&Row]) -> String {
    let names: Vec<_> = same.iter().map(|r| r.name()).collect();
    format!("bits per weight of the matrices (divergence 0, not shown: {})", names.join(", "))
}

/// The smallest and the largest, if there is any.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, x| match range {
        None => Some((x, x)),
        Some((low, high)) => Some((x.min(low), x.max(high))),
    })
}

#[cfg(test)]
mod tests {
    use super::super::compare::Comparison;
    use super::*;

    fn row(format: &str, bits: f64, kl: f64) -> Row {
        Row {
            format: format.into(),
            activations: crate::args::ActivationsArg::F32,
            matrix_bits_per_weight: bits,
            bits_per_weight: bits,
            comparison: Comparison { kl, ..Comparison::default() },
            gpu_bytes: 0,
            fallbacks: Vec::new(),
        }
    }

    #[test]
    fn every_format_has_a_point_or_is_named() {
        let mut svg = String::new();
        let rows = [row("(file)", 5.0, 0.0), row("q8_0", 8.5, 1e-3), row("q4_0", 4.5, 0.1)];
        draw(&mut svg, &rows).unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
        for name in ["(file)", "q8_0", "q4_0"] {
            assert!(svg.contains(name), "{name}");
        }
    }

    #[test]
    fn nothing_to_show_is_no_failure() {
        for rows in [&[][..], &[row("f32", 32.0, 0.0)], &[row("q8_0", 8.5, 1e-12)]] {
            let mut svg = String::new();
            draw(&mut svg, rows).unwrap();
            assert!(svg.ends_with("</svg>\n"), "{}", &svg[svg.len() - 20..]);
        }
    }
}
