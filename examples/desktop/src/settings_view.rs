//! The windows that lie over the others: settings, and the keys.

use eframe::egui::{self, Align2, ComboBox, DragValue, Grid, Slider, TextEdit, Ui, Window, vec2};

use crate::app::App;
use crate::settings::{KV_FORMATS, Sampling, Sharing, Theme};
use crate::worker::Load;

/// Draws the settings, if they are open.
pub fn show(app: &mut App, context: &egui::Context) {
    let mut open = app.settings_open;
    let height = (context.content_rect().height() - 90.0).clamp(160.0, 720.0);
    let window = Window::new("Settings").open(&mut open).collapsible(false).resizable(false);
    let window = window.anchor(Align2::CENTER_CENTER, vec2(0.0, 0.0)).default_width(420.0);
    window.vscroll(true).default_height(height).max_height(height).show(context, |ui| {
        conversation(app, ui);
        ui.separator();
        device(app, ui);
        ui.separator();
        look(app, ui);
    });
    app.settings_open &= open;
}

fn conversation(app: &mut App, ui: &mut Ui) {
    let label = ui.label("Instructions");
    let prompt = TextEdit::multiline(&mut app.settings.system_prompt).desired_rows(3);
    ui.add(prompt.desired_width(f32::INFINITY).hint_text("What the model is told first"))
        .labelled_by(label.id);
    grid(ui, "sampling", |ui| sampling(&mut app.settings.sampling, ui));
}

fn grid(ui: &mut Ui, id: &str, rows: impl FnOnce(&mut Ui)) {
    Grid::new(id).num_columns(2).min_col_width(112.0).spacing(vec2(24.0, 8.0)).show(ui, rows);
}

/// A name and what it names, joined for those who do not see them.
fn named(ui: &mut Ui, name: &str, hint: &str, widget: impl egui::Widget) {
    let label = ui.label(name).on_hover_text(hint);
    ui.add(widget).labelled_by(label.id);
    ui.end_row();
}

fn sampling(s: &mut Sampling, ui: &mut Ui) {
    let slider = Slider::new(&mut s.temperature, 0.0..=2.0);
    named(ui, "Temperature", "0 always takes the best token", slider);
    let value = DragValue::new(&mut s.top_k).range(0..=1000);
    named(ui, "Top k", "Chooses among so many of the best tokens; 0: among all", value);
    let slider = Slider::new(&mut s.top_p, 0.01..=1.0);
    named(ui, "Top p", "Chooses among the best tokens up to this probability", slider);
    let slider = Slider::new(&mut s.min_p, 0.0..=1.0);
    named(ui, "Min p", "Leaves out what is less probable than this share of the best", slider);
    let slider = Slider::new(&mut s.repeat_penalty, 1.0..=2.0);
    named(ui, "Repeat penalty", "Makes what was said before less likely; 1 does nothing", slider);
    let value = DragValue::new(&mut s.seed);
    named(ui, "Seed", "The same seed gives the same answer", value);
    let value = DragValue::new(&mut s.max_tokens).range(1..=65_536);
    named(ui, "Longest answer", "In tokens", value);
}

fn device(app: &mut App, ui: &mut Ui) {
    let devices = &app.devices;
    let names = app.adapters.get_or_insert_with(|| devices.names()).clone();
    let s = &mut app.settings;
    grid(ui, "device", |ui| {
        let adapter = shown(&s.adapter).to_owned();
        choice(ui, "Adapter", &adapter, |ui| {
            ui.selectable_value(&mut s.adapter, String::new(), shown(""));
            for name in &names {
                ui.selectable_value(&mut s.adapter, name.clone(), name);
            }
        });
        choice(ui, "Window's device", sharing(s.sharing), |ui| {
            for value in [Sharing::Automatic, Sharing::Always, Sharing::Never] {
                ui.selectable_value(&mut s.sharing, value, sharing(value));
            }
        });
        let value = DragValue::new(&mut s.context).range(64..=1_048_576).speed(16);
        named(ui, "Context", "Tokens that a conversation can hold", value);
        choice(ui, "KV cache", &s.kv_cache.clone(), |ui| {
            for format in KV_FORMATS {
                ui.selectable_value(&mut s.kv_cache, format.into(), format);
            }
        });
    });
    let model = app.model.as_ref().map(|model| model.load.clone());
    if let Some(load) = model.filter(|load| *load != Load::of(load.model.clone(), &app.settings)) {
        ui.horizontal_wrapped(|ui| {
            ui.label("These need the model to be loaded again.");
            if ui.button(format!("Reload {}", load.name())).clicked() {
                app.reload();
            }
        });
    }
}

fn shown(adapter: &str) -> &str {
    if adapter.is_empty() { "The window's" } else { adapter }
}

fn sharing(value: Sharing) -> &'static str {
    match value {
        Sharing::Automatic => "Shared with a GPU",
        Sharing::Always => "Always shared",
        Sharing::Never => "Never shared",
    }
}

fn choice(ui: &mut Ui, name: &str, selected: &str, options: impl FnOnce(&mut Ui)) {
    let label = ui.label(name);
    let combo = ComboBox::from_id_salt(name).selected_text(selected).width(220.0);
    combo.show_ui(ui, options).response.labelled_by(label.id);
    ui.end_row();
}

fn look(app: &mut App, ui: &mut Ui) {
    let s = &mut app.settings;
    grid(ui, "look", |ui| {
        ui.label("Colours");
        ui.horizontal(|ui| {
            for (value, name) in
                [(Theme::System, "System"), (Theme::Dark, "Dark"), (Theme::Light, "Light")]
            {
                ui.selectable_value(&mut s.theme, value, name);
            }
        });
        ui.end_row();
        ui.label("Size");
        ui.horizontal(|ui| {
            for (value, name) in [(1.0, "100 %"), (1.25, "125 %"), (1.5, "150 %"), (2.0, "200 %")] {
                ui.selectable_value(&mut s.scale, value, name);
            }
        });
        ui.end_row();
    });
}

const KEYS: [(&str, &str); 11] = [
    ("Enter", "Send"),
    ("Shift+Enter", "A new line"),
    ("Esc", "Stop, or close what is open"),
    ("Ctrl+N", "New chat"),
    ("Ctrl+O", "Open a model"),
    ("Ctrl+R", "Another answer"),
    ("Ctrl+L", "To the message"),
    ("Ctrl+B", "Numbers"),
    ("Ctrl+,", "Settings"),
    ("Ctrl+Q", "Close the window"),
    ("F1", "These keys"),
];

/// Draws the keys, if they are asked for.
pub fn help(app: &mut App, context: &egui::Context) {
    let mut open = app.help_open;
    let window = Window::new("Keys").open(&mut open).collapsible(false).resizable(false);
    let window = window.anchor(Align2::CENTER_CENTER, vec2(0.0, 0.0));
    window.show(context, |ui| {
        grid(ui, "keys", |ui| {
            for (keys, does) in KEYS {
                ui.monospace(keys);
                ui.label(does);
                ui.end_row();
            }
        });
    });
    app.help_open &= open;
}
