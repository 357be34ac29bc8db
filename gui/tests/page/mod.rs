//! A page in a harness: drawn from sample data, with the commands it emitted.

use egui_kittest::Harness;
use gui::{
    app::{
        command::{Commands, Screen},
        ui,
    },
    theme,
};

use crate::common::Sample;

/// Every page there is.
pub(crate) const SCREENS: [Screen; 6] =
    [Screen::Library, Screen::Player, Screen::Transfers, Screen::Shares, Screen::Settings, Screen::Console];

pub(crate) struct Page {
    pub(crate) sample: Sample,
    pub(crate) commands: Commands,
    is_ready: bool,
}

pub(crate) fn harness(sample: Sample, size: [f32; 2], theme: egui::Theme) -> Harness<'static, Page> {
    let draw = |ui: &mut egui::Ui, page: &mut Page| {
        if !std::mem::replace(&mut page.is_ready, true) {
            theme::install(ui.ctx());
            return;
        }
        let mut commands = Commands::new();
        ui::draw(ui, &page.sample.scene(), &mut commands);
        page.commands.extend(commands);
    };
    let page = Page { sample, commands: Vec::new(), is_ready: false };
    let mut harness = Harness::builder().with_size(size).with_theme(theme).build_ui_state(draw, page);
    harness.run_steps(3);
    harness
}
