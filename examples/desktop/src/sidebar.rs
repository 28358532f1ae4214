//! On the left: the conversations.

use eframe::egui::{self, Align, Button, Layout, Panel, Rect, ScrollArea, Ui, UiBuilder, vec2};

use crate::app::{App, shortcut};
use crate::theme;

/// A window less wide than this has no room for it; the conversations are in a menu then.
pub const WIDE: f32 = 640.0;

/// Draws it.
pub fn show(app: &mut App, ui: &mut Ui) {
    if ui.ctx().content_rect().width() < WIDE {
        return;
    }
    let panel = Panel::left("conversations").exact_size(220.0);
    panel.frame(theme::side_frame(ui.style())).show(ui, |ui| contents(app, ui));
}

/// A new conversation, and those that there are.
pub fn contents(app: &mut App, ui: &mut Ui) {
    let keys = ui.ctx().format_shortcut(&shortcut(egui::Key::N));
    let button = Button::new("New chat").shortcut_text(keys);
    if ui.add_sized([ui.available_width().min(320.0), 30.0], button).clicked() {
        app.new_chat();
    }
    ui.add_space(4.0);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| list(app, ui));
}

fn list(app: &mut App, ui: &mut Ui) {
    let (mut open, mut delete) = (None, None);
    ui.spacing_mut().item_spacing.y = 2.0;
    for (index, conversation) in app.conversations.iter().enumerate() {
        let title = conversation.title();
        ui.push_id(&conversation.id, |ui| {
            ui.horizontal(|ui| {
                let width = ui.available_width() - 48.0;
                let button = Button::selectable(index == app.current, &title).truncate();
                let button = ui.scope_builder(left(ui, width), |ui| ui.add(button)).inner;
                if button.clicked() {
                    open = Some(index);
                }
                if !conversation.messages.is_empty() && remove(ui, &title) {
                    delete = Some(index);
                }
            });
        });
    }
    if let Some(index) = delete {
        app.delete(index);
    } else if let Some(index) = open {
        app.open(index);
    }
}

/// As wide as this, with the text on the left.
fn left(ui: &Ui, width: f32) -> UiBuilder {
    let size = vec2(width, ui.spacing().interact_size.y);
    let layout = Layout::left_to_right(Align::Center).with_main_justify(true);
    let layout = layout.with_main_align(Align::Min);
    UiBuilder::new().max_rect(Rect::from_min_size(ui.cursor().min, size)).layout(layout)
}

fn remove(ui: &mut Ui, title: &str) -> bool {
    let button = ui.add(Button::new("✕").frame_when_inactive(false)).on_hover_text("Delete");
    let name = format!("Delete {title}");
    button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
    button.clicked()
}
