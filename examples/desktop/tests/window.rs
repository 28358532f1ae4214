//! The window by role and label, as a screen reader meets it (AccessKit), around a tiny model on
//! this machine's first adapter; and how long a frame takes while an answer is generated.

#![cfg_attr(target_family = "wasm", no_main)]
#![cfg(not(target_family = "wasm"))]

mod support;

use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use desktop::app::App;
use desktop::settings::{Settings, Theme};
use desktop::store::Conversation;
use eframe::egui::{Key, Modifiers, Role};
use egui_kittest::kittest::{NodeT, Queryable};
use libtest_mimic::{Arguments, Trial};
use mantissa::model::Message;
use support::server::Server;
use support::{Window, broken_file, model, store};

type Test = (&'static str, fn());

/// Where the default model is fetched from here.
static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

const TESTS: &[Test] = &[
    ("a question is answered", answered),
    ("Enter sends, Shift+Enter does not", enter),
    ("an answer can be stopped and followed up", stopped),
    ("another answer takes the place of the last", regenerated),
    ("a question can be edited and sent again", edited),
    ("conversations can be begun, changed to and deleted", conversations),
    ("a bad file leaves the model running", bad_file),
    ("a dropped file is loaded", dropped),
    ("a load can be given up", cancelled),
    ("keys and values can be kept in other formats", kv_formats),
    ("the window can be closed while a model loads", closed_loading),
    ("the window can be closed while an answer comes", closed_answering),
    ("a lost device is recovered", lost),
    ("a prompt that is too long is said in words", too_long),
    ("settings and conversations survive a restart", restart),
    ("a corrupt file is set aside", corrupt),
    ("keys open and close what they should", keys),
    ("everything is in sight at 200 %", scaled),
    ("frames are short while an answer is generated", frames),
];

fn main() {
    for (name, value) in SERVER.environment(store().folder()) {
        // SAFETY: the server's thread, the only other one, reads no variables.
        unsafe { std::env::set_var(name, value) };
    }
    let arguments = Arguments::from_args();
    let no_adapter = pollster::block_on(mantissa::gpu::adapters()).is_empty();
    if no_adapter {
        eprintln!("window tests: NO ADAPTER: nothing was tested. Install mesa-vulkan-drivers.");
    }
    let trial = |(name, test): &Test| {
        let test = *test;
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(*name, run).with_ignored_flag(no_adapter)
    };
    let pip = Command::new("python3").args(["-m", "pip", "--version"]).output();
    let no_pip = !pip.is_ok_and(|pip| pip.status.success());
    if no_pip {
        eprintln!("window tests: NO PIP: the download was not tested. Install python3-pip.");
    }
    let download = || {
        download();
        Ok(())
    };
    let download = Trial::test(
        "a download shows how far it is, can be given up, and breaks off in words",
        download,
    );
    let download = download.with_ignored_flag(no_pip);
    let trials = TESTS.iter().map(trial).chain([download]);
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn answered() {
    let mut window = Window::ready();
    window.write("Why is the sky blue?");
    window.click("Send");
    window.until("an answer", |app| app.answering.is_none());
    let messages = &window.app().conversation().messages;
    assert_eq!(messages.len(), 2);
    assert_eq!((&*messages[0].role, &*messages[1].role), ("user", "assistant"));
    assert!(!messages[1].content.is_empty());
    window.harness.get_by_role_and_label(Role::Button, "Regenerate");
    assert_eq!(window.harness.get_all_by_role_and_label(Role::Button, "Copy").count(), 2);
    window.until("a profile", |app| app.numbers.profile.is_some());
    let profile = window.app().numbers.profile.clone().expect("it is there");
    assert!(profile.by_op().iter().any(|op| op.op == "matmul"), "{profile:?}");
    window.harness.get_by_label("matmul");
    window.harness.get_by_label_contains("of 512");
}

fn enter() {
    let mut window = Window::ready();
    window.write("one");
    window.harness.key_press_modifiers(Modifiers::SHIFT, Key::Enter);
    window.step(3);
    assert_eq!(window.app().draft, "one\n");
    window.type_text("two");
    window.harness.key_press(Key::Enter);
    window.until("an answer", |app| app.answering.is_none() && app.draft.is_empty());
    assert_eq!(window.app().conversation().messages[0].content, "one\ntwo");
}

fn stopped() {
    let mut window = Window::ready();
    window.harness_settings(|s| s.sampling.max_tokens = 10_000);
    window.ask("Go on for ever");
    window.until("some text", |app| app.conversation().messages.len() == 2);
    window.harness.get_by_role_and_label(Role::Button, "Stop").click();
    window.until("a stop", |app| app.answering.is_none());
    assert!(window.app().numbers.last.is_some_and(|(_, finish)| finish.is_none()));
    window.harness_settings(|s| s.sampling.max_tokens = 4);
    window.ask("And now?");
    window.until("an answer", |app| app.answering.is_none());
    assert_eq!(window.app().conversation().messages.len(), 4);
}

fn regenerated() {
    let mut window = Window::ready();
    window.ask("Twice the same?");
    window.until("an answer", |app| app.answering.is_none());
    let first = window.app().conversation().messages.clone();
    window.click("Regenerate");
    window.until("another", |app| app.answering.is_none());
    assert_eq!(window.app().conversation().messages, first, "greedy answers are the same");
}

fn edited() {
    let mut window = Window::ready();
    for text in ["first", "second"] {
        window.ask(text);
        window.until("an answer", |app| app.answering.is_none());
    }
    window.harness.get_all_by_role_and_label(Role::Button, "Edit").next().expect("one").click();
    window.step(3);
    window.harness.get_by_role_and_label(Role::MultilineTextInput, "Edit the question").focus();
    window.step(2);
    window.harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    window.type_text("third");
    window.click("Send again");
    window.until("an answer", |app| app.answering.is_none());
    let messages = &window.app().conversation().messages;
    assert_eq!(messages.len(), 2, "what followed is forgotten");
    assert_eq!(messages[0].content, "third");
}

fn conversations() {
    let mut window = Window::ready();
    window.ask("About rivers");
    window.until("an answer", |app| app.answering.is_none());
    window.harness.key_press_modifiers(Modifiers::COMMAND, Key::N);
    window.step(3);
    assert!(window.app().conversation().messages.is_empty());
    window.ask("About hills");
    window.until("an answer", |app| app.answering.is_none());
    window.harness.get_by_role_and_label(Role::Button, "About rivers").click();
    window.step(3);
    assert_eq!(window.app().conversation().title(), "About rivers");
    window.harness.get_by_label("Delete About rivers").click();
    window.step(3);
    assert!(window.harness.query_by_role_and_label(Role::Button, "About rivers").is_none());
    let (left, _) = window.store.conversations();
    assert_eq!(left.iter().map(Conversation::title).collect::<Vec<_>>(), ["About hills"]);
}

fn bad_file() {
    let mut window = Window::ready();
    window.load(broken_file(&window.store));
    window.until("the news", |app| app.load_error.is_some());
    window.step(2);
    window.harness.get_by_label_contains("The model that was loaded goes on.");
    window.ask("Still there?");
    window.until("an answer", |app| app.answering.is_none());
    assert_eq!(window.app().conversation().messages.len(), 2);
    window.click("Dismiss");
    assert!(window.app().load_error.is_none());
}

fn dropped() {
    let mut window = Window::open(store());
    window.drop_file(&model());
    window.until("the model", |app| app.is_ready());
    assert_eq!(window.app().settings.recent, [model()]);
}

fn cancelled() {
    let mut window = Window::open(store());
    window.load(model());
    window.step(1);
    window.click("Cancel");
    window.until("the end of the load", |app| !app.is_loading());
    assert!(window.app().model.is_none());
    assert!(window.app().load_error.is_none(), "what the user wanted is no error");
    window.load(model());
    window.until("the model", |app| app.is_ready());
}

/// A name in a list of names: opened, then chosen.
fn choose(window: &mut Window, list: &str, name: &str) {
    window.harness.get_by_role_and_label(Role::ComboBox, list).click();
    window.step(3);
    window.click(name);
}

fn kv_formats() {
    let mut window = Window::ready();
    let bytes = |window: &Window| window.app().model.as_ref().expect("loaded").memory.kv_cache;
    let mut sizes = vec![bytes(&window)];
    assert_eq!(window.app().settings.kv_cache, "f32");
    window.click("Settings");
    for format in ["f16", "q8_0"] {
        choose(&mut window, "KV cache", format);
        window.click("Reload tied_q4_1.gguf");
        window.until("the model", App::is_ready);
        let model = window.app().model.as_ref().expect("loaded");
        assert_eq!(model.load.kv_cache, format);
        sizes.push(bytes(&window));
    }
    window.click("Settings");
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
    window.ask("Still there?");
    window.until("an answer", |app| app.answering.is_none());
    assert!(!window.app().conversation().messages[1].content.is_empty());
}

/// Dropping the window waits for the thread behind it, so a test that ends has seen that end, too.
fn closed_loading() {
    let mut window = Window::open(store());
    window.load(model());
    window.step(1);
    assert!(window.app().is_loading());
    let cancel = window.close();
    assert!(cancel.is_some_and(|cancel| cancel.is_cancelled()), "the load is given up");
}

fn closed_answering() {
    let mut window = Window::ready();
    window.harness_settings(|s| s.sampling.max_tokens = 100_000);
    window.ask("Go on for ever");
    window.until("some text", |app| app.conversation().messages.len() == 2);
    let store = window.store.clone();
    let cancel = window.close();
    assert!(cancel.is_some_and(|cancel| cancel.is_cancelled()), "the answer is ended");
    let (left, words) = store.conversations();
    assert!(words.is_empty(), "{words:?}");
    assert_eq!(left[0].messages[0].content, "Go on for ever");
    assert!(!left[0].messages[1].content.is_empty(), "what came of the answer is kept, too");
}

fn download() {
    let mut window = Window::open(store());
    window.load_default();
    let begun = |app: &App| {
        let step = app.loading.as_ref().map(|loading| loading.step);
        step.is_some_and(|(what, share)| what == "Downloading" && share >= 0.01)
    };
    window.until("the first hundredth", begun);
    let name = "SmolLM2-135M-Instruct: Downloading";
    let bar = window.harness.get_by_role_and_label(Role::ProgressIndicator, name);
    let percent = bar.accesskit_node().numeric_value();
    assert!(percent.is_some_and(|percent| (1.0..100.0).contains(&percent)), "{percent:?}");
    window.click("Cancel");
    window.until("the end of the download", |app| !app.is_loading());
    assert!(window.app().load_error.is_none(), "what the user wanted is no error");

    SERVER.break_off();
    window.load_default();
    window.until("the news", |app| app.load_error.is_some());
    window.step(2);
    window.harness.get_by_label_contains("look after the network");
    window.harness.get_by_role_and_label(Role::Button, "Try again");

    SERVER.leave_to_a_silent_hub();
    window.load_default();
    // A third of what the hub sends before it falls silent.
    let begun = |app: &App| {
        let step = app.loading.as_ref().map(|loading| loading.step);
        step.is_some_and(|(what, share)| what == "Downloading" && share >= 0.17)
    };
    window.until("bytes of the hub", begun);
    window.click("Cancel");
    window.until("the end of the download", |app| !app.is_loading());
    assert!(window.app().load_error.is_none(), "what the user wanted is no error");
}

fn lost() {
    let mut window = Window::ready();
    window.harness_settings(|s| s.sampling.max_tokens = 200);
    window.ask("Do not stop");
    window.until("some text", |app| app.conversation().messages.len() == 2);
    let gpu = window.app().model.as_ref().expect("loaded").device.gpu.clone();
    gpu.destroy();
    window.until("the rest", |app| app.answering.is_none());
    assert!(gpu.check().is_err());
    let device = window.app().model.as_ref().expect("recovered").device.clone();
    assert!(device.gpu.check().is_ok());
    assert_eq!(device.why, "the last one was lost");
    assert!(window.app().numbers.last.is_some(), "the answer has ended well");
}

fn too_long() {
    let mut window = Window::ready();
    window.ask(&"a b c d e ".repeat(300));
    window.until("the news", |app| app.answering.is_none());
    window.step(2);
    window.harness.get_by_label_contains("raise Context in the settings");
    window.harness.get_by_role_and_label(Role::Button, "Try again");
}

fn restart() {
    let store = store();
    let mut window = Window::with_model(store.clone());
    window.click("Settings");
    window.click("Dark");
    window.click("125 %");
    window.harness_settings(|s| s.system_prompt = "Be brief.".into());
    window.ask("Remember this");
    window.until("an answer", |app| app.answering.is_none());
    let (settings, said) =
        (window.app().settings.clone(), window.app().conversation().messages.clone());
    drop(window);

    let mut again = Window::open(store);
    again.until("the model of the last time", |app| app.is_ready());
    assert_eq!(again.app().settings, settings);
    assert_eq!((settings.theme, settings.scale), (Theme::Dark, 1.25));
    again.harness.get_by_role_and_label(Role::Button, "Remember this").click();
    again.step(3);
    assert_eq!(again.app().conversation().messages, said);
}

fn corrupt() {
    let store = store();
    store.save_settings(&Settings { context: 77, ..Settings::default() }).expect("writable");
    store.save(&Conversation { id: "good".into(), messages: vec![Message::user("Kept")] }).unwrap();
    let folder = store.folder().to_owned();
    std::fs::write(folder.join("settings.json"), "{\"context\": ").expect("writable");
    std::fs::write(folder.join("conversations/bad.json"), "[]").expect("writable");
    let mut window = Window::with_model(store);
    window.step(2);
    let name = "settings.broken-1";
    window.harness.get_by_label_contains(name);
    assert_eq!(std::fs::read(folder.join(name)).expect("it is aside"), b"{\"context\": ");
    assert!(folder.join("conversations/bad.broken-1").exists());
    assert_eq!(window.app().settings.context, Settings::default().context);
    window.harness.get_by_role_and_label(Role::Button, "Kept");
}

fn keys() {
    let mut window = Window::ready();
    window.harness.key_press_modifiers(Modifiers::COMMAND, Key::Comma);
    window.step(3);
    window.harness.get_by_role_and_label(Role::MultilineTextInput, "Instructions");
    window.harness.key_press(Key::Escape);
    window.step(10);
    assert!(window.harness.query_by_label("Instructions").is_none());
    window.harness.key_press(Key::F1);
    window.step(3);
    window.harness.get_by_label("A new line");
    window.harness.key_press(Key::F1);
    assert!(window.app().settings.numbers);
    window.harness.key_press_modifiers(Modifiers::COMMAND, Key::B);
    window.step(10);
    assert!(window.harness.query_by_label("GPU memory").is_none());
}

fn scaled() {
    let mut window = Window::ready();
    window.harness_settings(|s| s.scale = 2.0);
    window.write("Large");
    window.step(5);
    let screen = window.harness.ctx.content_rect();
    assert!(screen.width() < 600.0, "{screen:?}");
    for label in ["Send", "Settings", "Chats"] {
        let place = window.harness.get_by_role_and_label(Role::Button, label).rect();
        assert!(screen.contains_rect(place), "{label}: {place:?} in {screen:?}");
    }
    let place = window.harness.get_by_role_and_label(Role::MultilineTextInput, "Message").rect();
    assert!(screen.contains_rect(place), "{place:?} in {screen:?}");
}

/// 60 frames a second leave 16 ms for each; so long may the 95th percentile take.
const FRAME: Duration = Duration::from_millis(16);

/// What the thread of the window does for a frame: events, layout, and shapes to triangles. Drawing
/// these is the GPU's, and has its own queue on a software driver.
fn frames() {
    let mut window = Window::ready();
    window.harness_settings(|s| {
        s.numbers = false;
        s.sampling.max_tokens = 400;
    });
    let mut times = Vec::new();
    while times.len() < 300 {
        window.harness.key_press_modifiers(Modifiers::COMMAND, Key::N);
        window.ask(&format!("How long do {} frames take?", times.len()));
        while window.app().answering.is_some() {
            let start = Instant::now();
            window.draw();
            let took = start.elapsed();
            times.push(took);
            std::thread::sleep(FRAME.saturating_sub(took));
        }
    }
    times.sort();
    let high = times[times.len() * 95 / 100];
    let middle = times[times.len() / 2];
    eprintln!("{} frames, median {middle:.1?}, 95th percentile {high:.1?}", times.len());
    assert!(high < FRAME, "the 95th percentile of {} frames is {high:?}", times.len());
}
