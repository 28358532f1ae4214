//! Above everything: which model answers, how far the next one is loaded, and what else there is.

use eframe::egui::{self, Align, Layout, Panel, Ui};
use mantissa::download;

use crate::app::{App, shortcut};
use crate::worker::Load;
use crate::{sidebar, theme};

/// Draws it.
pub fn show(app: &mut App, ui: &mut Ui) {
    let frame = theme::side_frame(ui.style()).inner_margin(egui::Margin::symmetric(12, 8));
    Panel::top("model").frame(frame).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.menu_button(title(app), |ui| menu(app, ui));
            if ui.ctx().content_rect().width() < sidebar::WIDE {
                ui.menu_button("Chats", |ui| sidebar::contents(app, ui));
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let hint = ui.ctx().format_shortcut(&shortcut(egui::Key::B));
                ui.toggle_value(&mut app.settings.numbers, "Numbers").on_hover_text(hint);
                let hint = ui.ctx().format_shortcut(&shortcut(egui::Key::Comma));
                ui.toggle_value(&mut app.settings_open, "Settings").on_hover_text(hint);
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| status(app, ui));
            });
        });
        problems(app, ui);
    });
}

fn title(app: &App) -> String {
    app.model.as_ref().map_or("Choose a model".into(), |model| model.load.name()) + " ⏷"
}

fn status(app: &App, ui: &mut Ui) {
    if let Some(loading) = &app.loading {
        let (what, share) = loading.step;
        theme::waiting(ui);
        let label = ui.label(format!("{}: {what}", loading.name));
        let bar = egui::ProgressBar::new(share).desired_width(140.0).show_percentage();
        ui.add(bar).labelled_by(label.id);
        if ui.button("Cancel").clicked() {
            loading.cancel.cancel();
        }
    } else if let Some(model) = &app.model {
        let device = &model.device;
        let sharing = if device.shared { "shares the window's device" } else { "own device" };
        let text = format!("{} · {sharing}", device.gpu.info().name);
        let label = ui.add(egui::Label::new(egui::RichText::new(text).weak().small()).truncate());
        label.on_hover_text(format!("{sharing}: {}", device.why));
    }
}

fn problems(app: &mut App, ui: &mut Ui) {
    if let Some((words, load)) = app.load_error.clone() {
        let stays = if app.model.is_some() { " The model that was loaded goes on." } else { "" };
        let pressed = theme::problem(ui, &format!("{words}{stays}"), &["Try again", "Dismiss"]);
        if pressed[0] {
            app.start(load);
        } else if pressed[1] {
            app.load_error = None;
        }
    }
    if !app.store_words.is_empty()
        && theme::problem(ui, &app.store_words.join("\n"), &["Dismiss"])[0]
    {
        app.store_words.clear();
    }
}

/// The ways to a model.
pub fn menu(app: &mut App, ui: &mut Ui) {
    ui.set_min_width(320.0);
    let there = download::cached().is_some();
    let megabytes = download::BYTES / 1_000_000;
    let fetch = if there { String::new() } else { format!(" (download {megabytes} MB)") };
    if ui.button(format!("SmolLM2-135M-Instruct{fetch}")).clicked() {
        app.load(None);
        ui.close();
    }
    let keys = ui.ctx().format_shortcut(&shortcut(egui::Key::O));
    if ui.add(egui::Button::new("Open a GGUF or safetensors file…").shortcut_text(keys)).clicked()
    {
        app.pick_file();
        ui.close();
    }
    if ui.button("Open a folder of safetensors…").clicked() {
        app.pick_folder();
        ui.close();
    }
    ui.horizontal(|ui| {
        let label = ui.label("Path");
        let edit = egui::TextEdit::singleline(&mut app.path_text).hint_text("or drop it anywhere");
        let entered = ui.add(edit.desired_width(190.0)).labelled_by(label.id).lost_focus()
            && ui.input(|i| i.key_pressed(egui::Key::Enter));
        if (ui.button("Load").clicked() || entered) && !app.path_text.trim().is_empty() {
            let path = app.path_text.trim().into();
            app.load(Some(path));
            ui.close();
        }
    });
    recent(app, ui);
}

fn recent(app: &mut App, ui: &mut Ui) {
    if app.settings.recent.is_empty() {
        return;
    }
    ui.separator();
    ui.label(egui::RichText::new("Recent").weak().small());
    for path in app.settings.recent.clone() {
        let name = Load::of(Some(path.clone()), &app.settings).name();
        if ui.button(name).on_hover_text(path.display().to_string()).clicked() {
            app.load(Some(path));
            ui.close();
        }
    }
}
