//! In the middle: what was said, and what is to be said next.

use std::collections::HashMap;

use eframe::egui::{
    self, Align, CentralPanel, Frame, Id, Key, Layout, Margin, Modifiers, Panel, ScrollArea,
    TextEdit, Ui, vec2,
};
use egui_commonmark::CommonMarkViewer;

use crate::app::App;
use crate::{model_bar, theme};

/// How high each message was drawn last, at which width: what is out of sight is not drawn again.
pub type Heights = HashMap<usize, (f32, f32)>;

/// What was done to a message.
enum Act {
    Edit(usize),
    Resend(usize, String),
    Again,
}

/// Draws it.
pub fn show(app: &mut App, ui: &mut Ui) {
    let frame = Frame::new().fill(ui.visuals().panel_fill).inner_margin(Margin::same(12));
    Panel::bottom("composer").frame(frame).show_separator_line(false).show(ui, |ui| {
        column(ui, |ui| composer(app, ui));
    });
    let frame = Frame::new().fill(ui.visuals().panel_fill).inner_margin(Margin::symmetric(12, 0));
    CentralPanel::default().frame(frame).show(ui, |ui| {
        if app.conversation().messages.is_empty() && app.answer_error.is_none() {
            empty(app, ui);
        } else {
            let scroll = ScrollArea::vertical().auto_shrink(false).stick_to_bottom(true);
            scroll.id_salt(app.conversation().id.clone()).show(ui, |ui| {
                column(ui, |ui| messages(app, ui));
            });
        }
    });
}

/// Text in the middle, no wider than is good to read.
fn column(ui: &mut Ui, contents: impl FnOnce(&mut Ui)) {
    let width = ui.available_width().min(theme::TEXT_WIDTH);
    let margin = ((ui.available_width() - width) / 2.0).floor();
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        ui.add_space(margin);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.x = 8.0;
            ui.set_width(width);
            contents(ui);
        });
    });
}

/// Before the first question.
fn empty(app: &mut App, ui: &mut Ui) {
    ui.vertical_centered(|ui| {
        ui.add_space((ui.available_height() * 0.3).floor());
        ui.heading(if app.model.is_some() { "What would you like to know?" } else { "Mantissa" });
        match (&app.model, &app.loading) {
            (_, Some(loading)) => {
                ui.label(format!("{} is being loaded…", loading.name));
            }
            (Some(model), None) => {
                let text = format!("{} answers on this machine.", model.load.name());
                ui.label(egui::RichText::new(text).weak());
            }
            (None, None) => {
                ui.label(egui::RichText::new("Choose a model; it runs on this machine.").weak());
                ui.add_space(8.0);
                egui::Frame::group(ui.style()).show(ui, |ui| {
                    ui.set_width(340.0);
                    ui.with_layout(Layout::top_down(Align::Min), |ui| model_bar::menu(app, ui));
                });
            }
        }
    });
}

fn messages(app: &mut App, ui: &mut Ui) {
    ui.add_space(16.0);
    ui.spacing_mut().item_spacing.y = 6.0;
    let mut act = None;
    let width = ui.available_width();
    for index in 0..app.conversation().messages.len() {
        let known = app.heights.get(&index).filter(|(at, _)| *at == width).map(|(_, h)| *h);
        let top = ui.cursor().top();
        let streams = app.answering.is_some() && index + 1 == app.conversation().messages.len();
        if let Some(height) = known.filter(|_| !streams) {
            let place = egui::Rect::from_min_size(ui.cursor().min, vec2(width, height));
            if !ui.is_rect_visible(place) {
                ui.allocate_space(vec2(width, height));
                continue;
            }
        }
        ui.push_id(index, |ui| {
            ui.vertical(|ui| act = message(app, ui, index).or(act.take()));
        });
        app.heights.insert(index, (width, ui.cursor().top() - top - ui.spacing().item_spacing.y));
    }
    footer(app, ui, &mut act);
    ui.add_space(16.0);
    match act {
        None => {}
        Some(Act::Again) => app.regenerate(),
        Some(Act::Edit(index)) => {
            app.heights.clear();
            app.editing = Some((index, app.conversation().messages[index].content.clone()));
        }
        Some(Act::Resend(index, text)) => {
            app.editing = None;
            app.resend(index, text);
        }
    }
}

/// What comes behind the last message.
fn footer(app: &mut App, ui: &mut Ui, act: &mut Option<Act>) {
    let here = app.answering.as_ref().filter(|a| a.conversation == app.conversation().id);
    if let Some(answering) = here {
        let seconds = answering.since.elapsed().as_secs();
        ui.horizontal(|ui| {
            theme::waiting(ui);
            if let Some(words) = &answering.waiting {
                ui.label(egui::RichText::new(format!("{words} {seconds} s")).weak());
            }
        });
    }
    if let Some(words) = app.answer_error.clone() {
        let pressed = theme::problem(ui, &words, &["Try again", "Dismiss"]);
        if pressed[0] {
            *act = Some(Act::Again);
        } else if pressed[1] {
            app.answer_error = None;
        }
    }
}

fn message(app: &mut App, ui: &mut Ui, index: usize) -> Option<Act> {
    if app.conversation().messages[index].role == "user" {
        question(app, ui, index)
    } else {
        answer(app, ui, index)
    }
}

fn question(app: &mut App, ui: &mut Ui, index: usize) -> Option<Act> {
    if app.editing.as_ref().is_some_and(|(edited, _)| *edited == index) {
        return edit(app, ui);
    }
    let text = &app.conversation().messages[index].content;
    let mut act = None;
    from_right(ui, |ui| {
        let fill = ui.visuals().faint_bg_color;
        let bubble = Frame::new().fill(fill).corner_radius(10);
        bubble.inner_margin(Margin::symmetric(14, 10)).show(ui, |ui| {
            ui.set_max_width(ui.available_width() * 0.85);
            ui.add(egui::Label::new(text).wrap().halign(Align::Min));
        });
    });
    from_right(ui, |ui| {
        if small(ui, "Copy") {
            ui.ctx().copy_text(text.clone());
        }
        if app.is_ready() && small(ui, "Edit") {
            act = Some(Act::Edit(index));
        }
    });
    act
}

fn from_right(ui: &mut Ui, contents: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| ui.with_layout(Layout::right_to_left(Align::Min), contents));
}

fn small(ui: &mut Ui, text: &str) -> bool {
    let text = egui::RichText::new(text).small().weak();
    ui.add(egui::Button::new(text).frame_when_inactive(false)).clicked()
}

/// Another question in the place of an old one.
fn edit(app: &mut App, ui: &mut Ui) -> Option<Act> {
    let ready = app.is_ready();
    let (index, text) = app.editing.as_mut()?;
    let label = ui.label("Edit the question");
    ui.add(TextEdit::multiline(text).desired_width(f32::INFINITY).desired_rows(2))
        .labelled_by(label.id);
    let mut act = None;
    let mut leave = false;
    ui.horizontal(|ui| {
        let can = ready && !text.trim().is_empty();
        if ui.add_enabled(can, theme::primary("Send again")).clicked() {
            act = Some(Act::Resend(*index, text.trim().to_owned()));
        }
        leave = ui.button("Leave it").clicked();
    });
    if leave {
        app.editing = None;
    }
    act
}

fn answer(app: &mut App, ui: &mut Ui, index: usize) -> Option<Act> {
    let text = &app.conversations[app.current].messages[index].content;
    CommonMarkViewer::new().show(ui, &mut app.markdown, text);
    let last = index + 1 == app.conversation().messages.len();
    if last && app.answering.is_some() {
        return None;
    }
    let mut act = None;
    ui.horizontal(|ui| {
        if small(ui, "Copy") {
            ui.ctx().copy_text(app.conversation().messages[index].content.clone());
        }
        if last && app.is_ready() && small(ui, "Regenerate") {
            act = Some(Act::Again);
        }
    });
    ui.add_space(6.0);
    act
}

/// Where the next question is written.
fn composer(app: &mut App, ui: &mut Ui) {
    let id = Id::unique("message");
    let enter = ui.memory(|m| m.has_focus(id))
        && ui.input_mut(|i| !i.modifiers.shift && i.consume_key(Modifiers::NONE, Key::Enter));
    let frame = Frame::new()
        .fill(ui.visuals().faint_bg_color)
        .stroke(ui.visuals().widgets.noninteractive.bg_stroke)
        .corner_radius(10)
        .inner_margin(Margin::symmetric(12, 8));
    let mut send = enter;
    frame.show(ui, |ui| {
        ui.horizontal(|ui| {
            let width = ui.available_width() - 70.0;
            draft(app, ui, id, width);
            let size = vec2(58.0, 28.0);
            if app.answering.is_some() {
                let stop = ui.add_sized(size, egui::Button::new("Stop"));
                if stop.on_hover_text("Esc").clicked() {
                    app.stop();
                }
            } else {
                let can = app.is_ready() && !app.draft.trim().is_empty();
                let button = theme::primary("Send").min_size(size);
                send |= ui.add_enabled(can, button).clicked();
            }
        });
    });
    if send {
        app.send();
    }
}

fn draft(app: &mut App, ui: &mut Ui, id: Id, width: f32) {
    let edit = TextEdit::multiline(&mut app.draft)
        .id(id)
        .desired_rows(1)
        .frame(Frame::NONE)
        .desired_width(width)
        .hint_text("Ask anything");
    let scroll =
        ScrollArea::vertical().max_height(140.0).max_width(width).min_scrolled_height(24.0);
    let response = scroll.show(ui, |ui| ui.add(edit)).inner;
    ui.ctx().accesskit_node_builder(id, |node| node.set_label("Message"));
    if std::mem::take(&mut app.focus_draft) {
        response.request_focus();
    }
}
