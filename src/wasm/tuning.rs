//! Layouts of work, measured in a page. What was measured is text that the page keeps.

use std::time::Duration;

use serde::Deserialize;
use wasm_bindgen::prelude::wasm_bindgen;

use super::JsResult;
use super::error::Thrown;
use crate::model::{Model, Progress};
use crate::tune::{DeviceKey, Options, Store};

/// What is kept, with what a load found: another page may have kept something meanwhile.
#[wasm_bindgen(js_name = mergeTuning)]
pub fn merge_tuning(kept: &str, found: &str) -> String {
    let mut store = Store::from_json(kept).unwrap_or_default();
    store.absorb(Store::from_json(found).unwrap_or_default());
    store.to_json().unwrap_or_else(|_| found.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TuneOptions {
    /// Milliseconds that measuring may take; 0 measures nothing.
    budget_ms: f64,
    /// What was measured before, on whatever devices.
    known: Option<String>,
}

impl TuneOptions {
    fn budget(&self) -> JsResult<Duration> {
        const MOST: f64 = 600_000.0;
        let is_good = (0.0..=MOST).contains(&self.budget_ms);
        let why = || format!("{} is not from 0 to {MOST}", self.budget_ms);
        let seconds = is_good.then_some(self.budget_ms / 1e3);
        Ok(Duration::from_secs_f64(seconds.ok_or_else(|| Thrown::invalid("tune.budgetMs", why()))?))
    }

    /// Uses what is known of the model's device, and measures what is not, for steps of one row and of
    /// `chunk`. Gives all that is known then, where something is new.
    pub(super) async fn apply(
        &self,
        model: &Model,
        chunk: usize,
        tell: &mut (dyn FnMut(Progress) + Send),
    ) -> JsResult<Option<String>> {
        let options = Options { budget: self.budget()?, rows: vec![1, chunk] };
        let (gpu, device) = (model.gpu(), DeviceKey::of(model.gpu()));
        // Whatever else lies where the page keeps it is replaced.
        let text = self.known.as_deref().unwrap_or_default();
        let mut store = Store::from_json(text).unwrap_or_default();
        let use_it = |store: &Store| store.find(&device).cloned().map(|t| gpu.set_tuning(t));
        use_it(&store);
        if options.budget.is_zero() {
            return Ok(None);
        }
        let found = model.tune(&options, tell).await?;
        if found.choices.is_empty() {
            return Ok(None);
        }
        store.put(found);
        use_it(&store);
        // Numbers that no JSON can hold are not measured.
        Ok(store.to_json().ok())
    }
}
