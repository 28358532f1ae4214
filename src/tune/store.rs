//! What was measured on several devices, as JSON. Where it is kept is the platform's: a file
//! natively ([`file`](super::file)), a page's storage.

use serde::{Deserialize, Serialize};

use super::{DeviceKey, Tuning};

/// The version of the form, which counts up when old text can no longer be read, or new text by old builds.
const FORM: u32 = 3;

/// Devices that are kept, the oldest going first.
const MOST: usize = 32;

/// Why text is not a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It is not the JSON that is expected.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is of another version of the form.
    #[error("it has form {found}; this build reads form {FORM}")]
    Form {
        /// Its form.
        found: u32,
    },
}

/// What was measured, a [`Tuning`] for each device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Store {
    form: u32,
    devices: Vec<Tuning>,
}

impl Default for Store {
    fn default() -> Self {
        Self { form: FORM, devices: Vec::new() }
    }
}

impl Store {
    /// From the text that [`to_json`](Self::to_json) gave.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of it is used.
    pub fn from_json(text: &str) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        struct Form {
            form: u32,
        }
        let Form { form } = serde_json::from_str(text)?;
        if form != FORM {
            return Err(StoreError::Form { found: form });
        }
        Ok(serde_json::from_str(text)?)
    }

    /// As text.
    ///
    /// # Errors
    /// [`StoreError::Json`], which numbers that are not finite would cause; none here is.
    pub fn to_json(&self) -> Result<String, StoreError> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// What was measured on a device like this one, by the same driver and kernels.
    pub fn find(&self, device: &DeviceKey) -> Option<&Tuning> {
        self.devices.iter().find(|tuning| tuning.device == *device)
    }

    /// Keeps what was measured, over what was known of the same device.
    pub fn put(&mut self, tuning: Tuning) {
        match self.devices.iter_mut().find(|old| old.device == tuning.device) {
            Some(old) => old.merge(tuning),
            None => self.devices.push(tuning),
        }
        let surplus = self.devices.len().saturating_sub(MOST);
        self.devices.drain(..surplus);
    }

    /// Keeps all that another store has, over what was known.
    pub fn absorb(&mut self, newer: Self) {
        newer.devices.into_iter().for_each(|tuning| self.put(tuning));
    }

    /// Forgets what was measured on a device.
    pub fn forget(&mut self, device: &DeviceKey) {
        self.devices.retain(|tuning| tuning.device != *device);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::formats::F32;
    use crate::ops::matmul::{Share, Tile};
    use crate::tune::{Choice, Class, Rows};

    pub(in crate::tune) const SHAPE: (usize, usize) = (576, 1536);
    const TILE: Tile = Tile {
        lanes: 32,
        split: 32,
        rows: 4,
        m: 1,
        share: Share::Lane,
        codes: true,
        staged: false,
    };

    pub(in crate::tune) fn tuning(adapter: &str, tile: Option<Tile>, rows: Rows) -> Tuning {
        let device = DeviceKey {
            adapter: adapter.into(),
            driver: "driver 1".into(),
            backend: "Vulkan".into(),
            f16: false,
            subgroups: true,
            subgroup: 8,
            software: true,
            limits: [256, 16384],
            kernels: "0".into(),
            version: "0.1.0".into(),
        };
        let class = Class { rows, ..Class::of(F32, SHAPE, 1) };
        Tuning { device, choices: vec![Choice { class, tile, seconds: 0.5, default_seconds: 1.0 }] }
    }

    #[test]
    fn what_is_kept_comes_back() {
        let mut store = Store::default();
        let known = tuning("a", Some(TILE), Rows::One);
        store.put(known.clone());
        store.put(tuning("b", None, Rows::One));
        let read = Store::from_json(&store.to_json().unwrap()).unwrap();
        assert_eq!(read, store);
        assert_eq!(read.find(&known.device), Some(&known));
        store.forget(&known.device);
        assert_eq!(store.find(&known.device), None);
    }

    #[test]
    fn another_device_driver_or_version_finds_nothing() {
        let mut store = Store::default();
        let known = tuning("a", Some(TILE), Rows::One);
        store.put(known.clone());
        let others: [fn(&mut DeviceKey); 8] = [
            |key| key.adapter = "b".into(),
            |key| key.driver = "driver 2".into(),
            |key| key.backend = "Gl".into(),
            |key| key.subgroup = 32,
            |key| key.f16 = true,
            |key| key.limits = [128, 16384],
            |key| key.kernels = "1".into(),
            |key| key.version = "0.2.0".into(),
        ];
        for change in others {
            let mut device = known.device.clone();
            change(&mut device);
            assert_eq!(store.find(&device), None, "{device:?}");
        }
    }

    #[test]
    fn text_that_is_no_store_is_refused() {
        let good = Store { devices: vec![tuning("a", Some(TILE), Rows::One)], ..Store::default() };
        let good = good.to_json().unwrap();
        assert!(Store::from_json(&good).is_ok());
        let bad = [
            String::new(),
            "[]".into(),
            "{}".into(),
            good[..good.len() / 2].into(),
            good.replace("\"lanes\": 32", "\"lanes\": -1"),
            good.replace("\"lanes\": 32", "\"lanes\": \"many\""),
            good.replace("\"one\"", "\"dozens\""),
        ];
        for text in bad {
            assert!(matches!(Store::from_json(&text), Err(StoreError::Json(_))), "{text}");
        }
        for other in [FORM - 1, FORM + 1] {
            let text =
                good.replacen(&format!("\"form\": {FORM}"), &format!("\"form\": {other}"), 1);
            assert!(
                matches!(Store::from_json(&text), Err(StoreError::Form { found }) if found == other)
            );
        }
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let mut store = Store::default();
        for i in 0..2 * MOST {
            store.put(tuning(&i.to_string(), None, Rows::One));
        }
        assert_eq!(store.devices.len(), MOST);
        assert!(store.find(&tuning("63", None, Rows::One).device).is_some());
    }
}
