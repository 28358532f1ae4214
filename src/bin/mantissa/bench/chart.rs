//! The charts of `bench`: how a model's time grows with its context, with the prompt, and with the
//! sequences of a step.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::report::Report;

const SIZE: (u32, u32) = (900, 1500);
const FONT: (&str, u32) = ("sans-serif", 15);

/// Points of one thing that grows, by name.
type Lines = BTreeMap<String, Vec<(f64, f64)>>;

/// Draws what was measured; a chart without a point is an empty frame.
pub fn write(path: &Path, report: &Report) -> Result<()> {
    let mut svg = String::new();
    draw(&mut svg, report).map_err(|error| anyhow!("the chart cannot be drawn: {error}"))?;
    Ok(std::fs::write(path, svg)?)
}

fn draw(svg: &mut String, report: &Report) -> Result<(), Box<dyn std::error::Error>> {
    let (mut decode, mut prefill, mut batch) = (Lines::new(), Lines::new(), Lines::new());
    if let Some(model) = &report.model {
        for d in &model.decode {
            let line = decode.entry(format!("{} in flight", d.in_flight)).or_default();
            line.push((d.context as f64, 1e3 * d.seconds_per_token));
        }
        let points = model.prefill.iter().map(|p| (p.tokens as f64, p.seconds));
        prefill.insert(format!("chunks of {}", model.chunk), points.collect());
        let points = model.batch.iter().map(|b| (b.sequences as f64, 1e3 * b.seconds_per_step));
        batch.insert("together".into(), points.collect());
    }
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let thirds = root.split_evenly((3, 1));
    let titles = [
        (&decode, "Decoding", "tokens before", "ms per token"),
        (&prefill, "Prompts", "tokens", "s"),
        (&batch, "Batches", "sequences", "ms per step"),
    ];
    for (area, (lines, title, x, y)) in thirds.iter().zip(titles) {
        let most = |of: fn(&(f64, f64)) -> f64| {
            lines.values().flatten().map(of).fold(0.0, f64::max).max(1e-9) * 1.05
        };
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(45)
            .y_label_area_size(80)
            .build_cartesian_2d(0.0..most(|p| p.0), 0.0..most(|p| p.1))?;
        chart.configure_mesh().x_desc(x).y_desc(y).label_style(FONT).max_light_lines(0).draw()?;
        for ((name, points), i) in lines.iter().zip(0..) {
            let color = Palette99::pick(i).to_rgba();
            let mut points = points.clone();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            chart.draw_series(points.iter().map(|p| Circle::new(*p, 4, color.filled())))?;
            chart
                .draw_series(LineSeries::new(points, color))?
                .label(name.clone())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color));
        }
        chart
            .configure_series_labels()
            .label_font(FONT)
            .position(SeriesLabelPosition::UpperLeft)
            .draw()?;
    }
    root.present()?;
    drop(thirds);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::report::{Batched, Model, Prefill};
    use super::*;

    #[test]
    fn every_point_is_drawn_and_nothing_is_no_failure() {
        let prompt = |tokens| Prefill { tokens, seconds: 1.0, tokens_per_second: 1.0, rounds: 1 };
        let batch = |sequences| Batched {
            sequences,
            context: 1,
            seconds_per_step: 1.0,
            tokens_per_second: 1.0,
            rounds: 1,
        };
        let prefill = vec![prompt(16), prompt(128)];
        let model =
            Model { prefill, batch: vec![batch(1), batch(2), batch(4)], ..Model::default() };
        for (model, points) in [(Some(model), 5), (None, 0)] {
            let mut svg = String::new();
            draw(&mut svg, &Report { model, ..Report::default() }).unwrap();
            assert_eq!(svg.matches("<circle").count(), points);
            assert!(svg.ends_with("</svg>\n"));
        }
    }
}
