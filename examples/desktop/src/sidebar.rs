//! On the left: the conversations.

use eframe::egui::{self, Align, Button, Layout, Panel, ScrollArea, Ui};

use crate::app::{App, shortcut};
use crate::theme;

/// Draws it.
pub fn show(app: &mut App, ui: &mut Ui) {
    let wide = ui.available_width() > 640.0;
    if !wide {
        return;
    }
    let panel = Panel::left("conversations").default_size(210.0).size_range(140.0..=360.0);
    panel.frame(theme::side_frame(ui.style())).show(ui, |ui| {
        let keys = ui.ctx().format_shortcut(&shortcut(egui::Key::N));
        let button = Button::new("New chat").shortcut_text(keys);
        if ui.add_sized([ui.available_width(), 30.0], button).clicked() {
            app.new_chat();
        }
        ui.add_space(4.0);
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| list(app, ui));
    });
}

fn list(app: &mut App, ui: &mut Ui) {
    let (mut open, mut delete) = (None, None);
    ui.spacing_mut().item_spacing.y = 2.0;
    for (index, conversation) in app.conversations.iter().enumerate() {
        let title = conversation.title();
        ui.push_id(&conversation.id, |ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if !conversation.messages.is_empty() {
                    let remove = ui.add(Button::new("✕").frame(false)).on_hover_text("Delete");
                    let name = format!("Delete {title}");
                    remove
                        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
                    if remove.clicked() {
                        delete = Some(index);
                    }
                }
                ui.with_layout(
                    Layout::left_to_right(Align::Center)
                        .with_main_justify(true)
                        .with_main_align(Align::Min),
                    |ui| {
                        let chosen = index == app.current;
                        if ui.add(Button::selectable(chosen, &title).truncate()).clicked() {
                            open = Some(index);
                        }
                    },
                );
            });
        });
    }
    if let Some(index) = delete {
        app.delete(index);
    } else if let Some(index) = open {
        app.open(index);
    }
}
