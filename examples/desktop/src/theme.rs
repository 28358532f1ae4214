//! Sizes, spaces and colours.

use std::f64::consts::TAU;
use std::time::Duration;

use eframe::egui::{
    self, Color32, CornerRadius, FontFamily, FontId, Margin, Stroke, Style, TextStyle,
    ThemePreference, Visuals, vec2,
};

use crate::settings::{Settings, Theme};

/// The widest that text runs: longer lines are hard to read.
pub const TEXT_WIDTH: f32 = 760.0;

/// What is done or can be done: buttons, bars.
pub const ACCENT: Color32 = Color32::from_rgb(88, 112, 240);

/// Sets what stays the same.
pub fn install(context: &egui::Context) {
    context.all_styles_mut(style);
    context.set_visuals_of(egui::Theme::Dark, visuals(Visuals::dark()));
    context.set_visuals_of(egui::Theme::Light, visuals(Visuals::light()));
}

/// Sets what the user can choose.
pub fn apply(context: &egui::Context, settings: &Settings) {
    let preference = match settings.theme {
        Theme::System => ThemePreference::System,
        Theme::Dark => ThemePreference::Dark,
        Theme::Light => ThemePreference::Light,
    };
    context.set_theme(preference);
    if context.zoom_factor() != settings.scale {
        context.set_zoom_factor(settings.scale);
    }
}

fn style(style: &mut Style) {
    let sizes = [
        (TextStyle::Small, 12.0),
        (TextStyle::Body, 15.0),
        (TextStyle::Button, 14.0),
        (TextStyle::Heading, 20.0),
    ];
    for (text, size) in sizes {
        style.text_styles.insert(text, FontId::new(size, FontFamily::Proportional));
    }
    style.text_styles.insert(TextStyle::Monospace, FontId::new(13.5, FontFamily::Monospace));
    style.spacing.item_spacing = vec2(8.0, 8.0);
    style.spacing.button_padding = vec2(10.0, 5.0);
    style.spacing.interact_size.y = 26.0;
    style.spacing.menu_margin = Margin::same(8);
    style.spacing.window_margin = Margin::same(16);
}

fn visuals(mut visuals: Visuals) -> Visuals {
    let dark = visuals.dark_mode;
    let grey =
        |dark_level, light_level| Color32::from_gray(if dark { dark_level } else { light_level });
    visuals.panel_fill = grey(24, 255);
    visuals.window_fill = grey(32, 255);
    visuals.extreme_bg_color = grey(16, 248);
    visuals.faint_bg_color = grey(36, 242);
    visuals.code_bg_color = grey(38, 238);
    visuals.hyperlink_color =
        if dark { Color32::from_rgb(140, 160, 255) } else { Color32::from_rgb(52, 76, 200) };
    visuals.selection.bg_fill =
        if dark { Color32::from_rgb(50, 62, 130) } else { Color32::from_rgb(206, 214, 255) };
    visuals.selection.stroke =
        Stroke::new(1.0, if dark { Color32::WHITE } else { Color32::from_gray(10) });
    let text = [grey(210, 40), grey(225, 30), grey(245, 10)];
    visuals.widgets.noninteractive.fg_stroke.color = text[0];
    visuals.widgets.noninteractive.bg_stroke.color = grey(48, 222);
    visuals.widgets.inactive.fg_stroke.color = text[1];
    visuals.widgets.inactive.weak_bg_fill = grey(44, 236);
    visuals.widgets.hovered.fg_stroke.color = text[2];
    visuals.widgets.hovered.weak_bg_fill = grey(58, 226);
    for widget in [
        &mut visuals.widgets.noninteractive,
        &mut visuals.widgets.inactive,
        &mut visuals.widgets.hovered,
        &mut visuals.widgets.active,
        &mut visuals.widgets.open,
    ] {
        widget.corner_radius = CornerRadius::same(6);
    }
    visuals
}

/// Beside the conversation.
pub fn side_frame(style: &Style) -> egui::Frame {
    egui::Frame::new().fill(style.visuals.extreme_bg_color).inner_margin(Margin::same(12))
}

/// The button that goes on.
pub fn primary(text: &str) -> egui::Button<'_> {
    egui::Button::new(egui::RichText::new(text).color(Color32::WHITE)).fill(ACCENT)
}

/// Something went wrong: words, and buttons beside them. `true` for each that was pressed.
pub fn problem(ui: &mut egui::Ui, words: &str, buttons: &[&str]) -> Vec<bool> {
    let colour = ui.visuals().error_fg_color;
    let frame = egui::Frame::new()
        .stroke(Stroke::new(1.0, colour))
        .fill(colour.gamma_multiply(0.1))
        .corner_radius(6)
        .inner_margin(Margin::symmetric(12, 8));
    let inner = frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.add(egui::Label::new(words).wrap());
        let pressed = |ui: &mut egui::Ui, text: &&str| ui.button(*text).clicked();
        ui.horizontal_wrapped(|ui| buttons.iter().map(|b| pressed(ui, b)).collect()).inner
    });
    inner.inner
}

/// Says that something is going on, in eight frames a second. egui's spinner draws as many as the screen
/// takes, and on a software driver each of them holds up the model.
pub fn waiting(ui: &mut egui::Ui) {
    const FRAMES: f64 = 8.0;
    let (rect, _) = ui.allocate_exact_size(vec2(14.0, 14.0), egui::Sense::hover());
    let turn = (ui.input(|input| input.time) * FRAMES).floor() / FRAMES * TAU;
    let color = ui.visuals().strong_text_color();
    for dot in 0..5 {
        let (sin, cos) = (turn + f64::from(dot) * TAU / 8.0).sin_cos();
        let at = rect.center() + 5.0 * vec2(cos as f32, sin as f32);
        ui.painter().circle_filled(at, 1.5, color.gamma_multiply(0.2 + 0.2 * dot as f32));
    }
    ui.ctx().request_repaint_after(Duration::from_secs_f64(1.0 / FRAMES));
}
