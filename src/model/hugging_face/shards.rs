//! The safetensors of a model: one file, or several that an index names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{Source, object};
use crate::error::{Error, Result};
use crate::model::safetensors::{self, Header};
use crate::model::source::ModelFiles;

const SINGLE: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// A file of tensors: its name in the folder, its header, its bytes.
pub(super) struct Shard {
    pub(super) name: String,
    pub(super) header: Header,
    pub(super) source: Source,
}

/// The files of tensors, their headers checked.
pub(super) async fn open(files: &ModelFiles) -> Result<Vec<Shard>> {
    if let Some(main) = files.main() {
        return Ok(vec![shard(main.name(), main).await?]);
    }
    if let Some(single) = files.get(SINGLE) {
        return Ok(vec![shard(SINGLE, single).await?]);
    }
    let Some(index) = object(files, INDEX).await? else {
        let problem = format!("{} has neither this file nor {INDEX}", files.name());
        return Err(Error::config(SINGLE, problem));
    };
    let map = weight_map(&index)?;
    let mut shards = Vec::new();
    for name in map.values().collect::<BTreeSet<_>>() {
        // Names are looked up among the folder's files, so none can lead out of it.
        let Some(file) = files.get(name) else {
            let problem = format!("names {name:?}, which is not in {}", files.name());
            return Err(Error::config(INDEX, problem));
        };
        shards.push(shard(name, file).await?);
    }
    check_map(&map, &shards)?;
    Ok(shards)
}

async fn shard(name: &str, source: &Source) -> Result<Shard> {
    let header = safetensors::header(&**source).await?;
    Ok(Shard { name: name.into(), header, source: source.clone() })
}

/// Which file each tensor is in.
fn weight_map(index: &super::Object) -> Result<BTreeMap<String, String>> {
    let Some(Json::Object(map)) = index.get("weight_map") else {
        return Err(Error::config(INDEX, "has no object weight_map"));
    };
    let entry = |(tensor, file): (&String, &Json)| match file {
        Json::String(file) => Ok((tensor.clone(), file.clone())),
        other => Err(Error::config(INDEX, format!("weight_map: {tensor:?} is in {other}"))),
    };
    map.iter().map(entry).collect()
}

/// Every tensor is where the index says. One that is in another file would be a second of its name
/// or a file of another model.
fn check_map(map: &BTreeMap<String, String>, shards: &[Shard]) -> Result<()> {
    let mut missing: BTreeMap<&str, &str> =
        map.iter().map(|(tensor, file)| (tensor.as_str(), file.as_str())).collect();
    for shard in shards {
        for tensor in &shard.header.tensors {
            match missing.remove(tensor.name.as_str()) {
                Some(file) if file == shard.name => {}
                _ => {
                    let problem = format!("does not say that {} has {:?}", shard.name, tensor.name);
                    return Err(Error::config(INDEX, problem));
                }
            }
        }
    }
    match missing.first_key_value() {
        None => Ok(()),
        Some((tensor, file)) => {
            Err(Error::config(INDEX, format!("{file} has no tensor {tensor:?}")))
        }
    }
}
