//! On the right: what the model does, in numbers, while it does it.

use std::time::Instant;

use eframe::egui::{self, Color32, Grid, Panel, ScrollArea, Sense, Ui, vec2};
use egui_plot::{Line, Plot};
use mantissa::model::{Finish, Stats, StepProfile};

use crate::app::App;
use crate::theme;

/// What was measured of the answer that runs or ran last.
#[derive(Default)]
pub struct Numbers {
    begun: Option<Instant>,
    /// Seconds from the question to each token.
    times: Vec<f64>,
    /// Tokens in the context.
    pub used: usize,
    /// The library's own count, once an answer has ended, and why it ended.
    pub last: Option<(Stats, Option<Finish>)>,
    /// Where the time of a token goes.
    pub profile: Option<StepProfile>,
}

/// A rate is taken over so many tokens.
const WINDOW: usize = 8;

impl Numbers {
    /// A question was asked.
    pub fn begin(&mut self) {
        *self = Self {
            begun: Some(Instant::now()),
            used: self.used,
            profile: self.profile.take(),
            ..Self::default()
        };
    }

    /// Another model is there.
    pub fn loaded(&mut self) {
        self.profile = None;
    }

    /// A token came.
    pub fn token(&mut self, used: usize) {
        self.used = used;
        if let Some(begun) = self.begun {
            self.times.push(begun.elapsed().as_secs_f64());
        }
    }

    /// The answer has ended.
    pub fn end(&mut self, stats: Stats, finish: Option<Finish>) {
        self.last = Some((stats, finish));
    }

    fn first_token(&self) -> Option<f64> {
        self.times.first().copied()
    }

    /// Tokens per second when each token came, with its time.
    fn rates(&self) -> Vec<[f64; 2]> {
        let rate = |times: &[f64]| {
            let (first, last) = (times[0], times[times.len() - 1]);
            [last, (times.len() - 1) as f64 / (last - first).max(1e-6)]
        };
        let size = WINDOW.min(self.times.len()).max(2);
        self.times.windows(size).map(rate).collect()
    }
}

/// Draws it.
pub fn show(app: &mut App, ui: &mut Ui) {
    if ui.available_width() < 560.0 {
        return;
    }
    let panel = Panel::right("numbers").exact_size(270.0);
    panel.frame(theme::side_frame(ui.style())).show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            speed(app, ui);
            ui.add_space(8.0);
            memory(app, ui);
            ui.add_space(8.0);
            profile(app, ui);
        });
    });
}

fn title(ui: &mut Ui, text: &str) {
    ui.label(egui::RichText::new(text).strong());
}

fn row(ui: &mut Ui, name: &str, value: String) {
    ui.label(egui::RichText::new(name).weak());
    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| ui.label(value));
    ui.end_row();
}

fn rows(ui: &mut Ui, id: &str, rows: &[(&str, String)]) {
    let width = ui.available_width();
    Grid::new(id).num_columns(2).min_col_width(width / 2.0 - 8.0).spacing(vec2(8.0, 4.0)).show(
        ui,
        |ui| {
            for (name, value) in rows {
                row(ui, name, value.clone());
            }
        },
    );
}

fn speed(app: &App, ui: &mut Ui) {
    title(ui, "Speed");
    let numbers = &app.numbers;
    let rates = numbers.rates();
    let or_none = |value: Option<String>| value.unwrap_or("–".into());
    let now = rates.last().map(|[_, rate]| format!("{rate:.1}"));
    let context = app.model.as_ref().map(|m| format!("{} of {}", numbers.used, m.context));
    let mut lines = vec![
        ("Tokens/s", or_none(now)),
        ("First token", or_none(numbers.first_token().map(|s| format!("{s:.2} s")))),
        ("Context used", or_none(context)),
    ];
    if let Some((stats, finish)) = &numbers.last {
        lines.push(("Prompt", format!("{} tokens", stats.prompt_tokens)));
        lines.push(("Ended by", why(*finish).into()));
    }
    rows(ui, "speed", &lines);
    if rates.len() < 2 {
        return;
    }
    let line = Line::new("tokens/s", rates).color(theme::ACCENT).width(2.0);
    Plot::new("rate")
        .height(110.0)
        .include_y(0.0)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .show_x(false)
        .show_grid([false, true])
        .set_margin_fraction(vec2(0.0, 0.1))
        .x_axis_formatter(|mark, _| format!("{} s", mark.value))
        .show(ui, |plot| plot.line(line));
}

fn why(finish: Option<Finish>) -> &'static str {
    match finish {
        Some(Finish::Stop) => "the model",
        Some(Finish::Length) => "the longest answer",
        Some(Finish::Context) => "a full context",
        Some(Finish::Failed) => "an error",
        None => "you",
    }
}

fn memory(app: &App, ui: &mut Ui) {
    title(ui, "GPU memory");
    let Some(model) = &app.model else {
        ui.label(egui::RichText::new("No model is loaded.").weak());
        return;
    };
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let lines = [
        ("Weights", megabytes(model.weights)),
        ("Keys and values", megabytes(model.memory.kv_cache)),
        ("Scratch", megabytes(model.memory.scratch)),
        ("All buffers", megabytes(model.device.gpu.allocated_bytes())),
    ];
    rows(ui, "memory", &lines);
}

const COLOURS: [Color32; 6] = [
    theme::ACCENT,
    Color32::from_rgb(236, 148, 72),
    Color32::from_rgb(90, 176, 120),
    Color32::from_rgb(214, 92, 108),
    Color32::from_rgb(160, 112, 206),
    Color32::from_rgb(128, 140, 152),
];

fn profile(app: &App, ui: &mut Ui) {
    title(ui, "Where a token's time goes");
    let Some(profile) = &app.numbers.profile else {
        ui.label(egui::RichText::new("Measured after each answer.").weak());
        return;
    };
    let ops = profile.by_op();
    if ops.is_empty() {
        let text =
            format!("{:.1} ms in all; this device has no timestamps.", profile.seconds * 1e3);
        ui.label(text);
        return;
    }
    let sum: f64 = ops.iter().map(|op| op.seconds).sum();
    let share = |seconds: f64| (seconds / sum.max(1e-12)) as f32;
    let (bar, _) = ui.allocate_exact_size(vec2(ui.available_width(), 16.0), Sense::hover());
    let mut left = bar.left();
    for (op, i) in ops.iter().zip(0..) {
        let right = left + share(op.seconds) * bar.width();
        let part = egui::Rect::from_x_y_ranges(left..=right, bar.y_range());
        ui.painter().rect_filled(part, 2.0, COLOURS[i % COLOURS.len()]);
        left = right;
    }
    for (op, i) in ops.iter().zip(0..) {
        ui.horizontal(|ui| {
            let (dot, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
            ui.painter().rect_filled(dot, 2.0, COLOURS[i % COLOURS.len()]);
            ui.label(op.op);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                ui.label(format!(
                    "{:.1} ms · {:.0} %",
                    op.seconds * 1e3,
                    100.0 * share(op.seconds)
                ));
            });
        });
    }
    if ui.button("Measure again").clicked() && app.is_ready() {
        app.profile();
    }
}
