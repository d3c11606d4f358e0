//! What lies below a folder: a search for names, and what takes the room.

use volume::RelPath;
use volume::names::Kind;

use super::browse::{go, moved, read_again};
use crate::effect::Effect;
use crate::key::Act;
use crate::model::{Finding, Measuring, Model, scrolled};

/// Begins a search.
pub(super) fn find(model: &mut Model, path: RelPath, pattern: String) -> Vec<Effect> {
    model.browse.generation += 1;
    let generation = model.browse.generation;
    model.browse.finding =
        Some(Finding { pattern: pattern.clone(), generation, ..Default::default() });
    vec![Effect::Stop, Effect::Find(generation, path, pattern)]
}

/// A key while hits are shown.
pub(super) fn in_finding(model: &mut Model, act: Act) -> Vec<Effect> {
    let rows = model.list_rows();
    let Some(finding) = &mut model.browse.finding else { return Vec::new() };
    match act {
        Act::Cancel | Act::Parent => {
            model.browse.finding = None;
            let mut effects = vec![Effect::Stop];
            effects.extend(read_again(model));
            return effects;
        }
        Act::Open => {
            if let Some(hit) = finding.hits.get(finding.cursor) {
                let (folder, name) = (hit.path.parent(), hit.path.file_name().map(<[u8]>::to_vec));
                return go(model, folder.unwrap_or_default(), name);
            }
        }
        _ => {
            finding.cursor = moved(act, finding.cursor, finding.hits.len(), rows);
            finding.top = scrolled(finding.top, finding.cursor, rows);
        }
    }
    Vec::new()
}

/// Begins a scan.
pub(super) fn measure(model: &mut Model, path: RelPath) -> Vec<Effect> {
    if path != model.browse.path {
        let generation = model.browse.generation;
        let sort = model.browse.sort;
        model.browse =
            crate::model::Browse { path: path.clone(), generation, sort, ..Default::default() };
    }
    model.browse.generation += 1;
    let generation = model.browse.generation;
    model.browse.measuring = Some(Measuring { generation, ..Default::default() });
    vec![Effect::Stop, Effect::Measure(generation, path)]
}

/// A key while the room is shown.
pub(super) fn in_measuring(model: &mut Model, act: Act) -> Vec<Effect> {
    let rows = model.list_rows();
    let Some(measuring) = &mut model.browse.measuring else { return Vec::new() };
    match act {
        Act::Cancel | Act::Usage => {
            model.browse.measuring = None;
            let mut effects = vec![Effect::Stop];
            effects.extend(read_again(model));
            return effects;
        }
        Act::Parent => {
            if let Some(path) = model.browse.path.parent() {
                return measure(model, path);
            }
        }
        Act::Open => {
            let used = measuring.usage.entries.get(measuring.cursor);
            let folder = used.filter(|it| it.kind == Kind::Folder);
            match folder.map(|it| model.browse.path.join(&it.name)) {
                Some(Ok(path)) => return measure(model, path),
                Some(Err(_)) => {
                    model.complain("the service's own folder: `t` shows the trash, X empties it");
                }
                None => {}
            }
        }
        _ => {
            measuring.cursor = moved(act, measuring.cursor, measuring.usage.entries.len(), rows);
            measuring.top = scrolled(measuring.top, measuring.cursor, rows);
        }
    }
    Vec::new()
}
