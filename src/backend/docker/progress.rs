//! How far a pull is, in one line.

use bollard::models::CreateImageInfo;
use std::collections::BTreeMap;

const MB: f64 = 1_000_000.0;

/// What is known of each layer so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    layers: BTreeMap<String, Layer>,
}

#[derive(Debug, Default)]
struct Layer {
    bytes: i64,
    of: i64,
    done: bool,
}

impl Progress {
    /// Takes in one message of the engine's.
    pub(super) fn note(&mut self, news: CreateImageInfo) {
        let Some(status) = news.status else { return };
        let known = matches!(
            &*status,
            "Pulling fs layer"
                | "Waiting"
                | "Downloading"
                | "Verifying Checksum"
                | "Download complete"
                | "Extracting"
                | "Pull complete"
                | "Already exists"
        );
        let Some(id) = news.id.filter(|_| known) else { return };
        let layer = self.layers.entry(id).or_default();
        match &*status {
            "Downloading" => {
                let detail = news.progress_detail.unwrap_or_default();
                layer.bytes = detail.current.unwrap_or(layer.bytes);
                layer.of = detail.total.unwrap_or(layer.of).max(layer.bytes);
            }
            "Download complete" => layer.bytes = layer.of,
            "Pull complete" | "Already exists" => {
                layer.bytes = layer.of;
                layer.done = true;
            }
            _ => {}
        }
    }

    /// As in `3 of 5 layers, 12.5 of 40.0 MB`; none before the registry has said what there is.
    pub(super) fn line(&self) -> Option<String> {
        if self.layers.is_empty() {
            return None;
        }
        let done = self.layers.values().filter(|layer| layer.done).count();
        let (bytes, of) =
            self.layers.values().fold((0, 0), |(bytes, of), layer| (bytes + layer.bytes, of + layer.of));
        let layers = format!("{done} of {} layers", self.layers.len());
        if of == 0 {
            return Some(layers);
        }
        #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let (bytes, of) = (bytes as f64 / MB, of as f64 / MB);
        Some(format!("{layers}, {bytes:.1} of {of:.1} MB"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn layers_and_bytes_are_added_up() {
        let mut progress = Progress::default();
        assert_eq!(progress.line(), None);
        for news in [
            json!({"status": "Pulling from org/app", "id": "1.0"}),
            json!({"status": "Pulling fs layer", "id": "a"}),
            json!({"status": "Already exists", "id": "b"}),
        ] {
            progress.note(serde_json::from_value(news).unwrap());
        }
        assert_eq!(progress.line().as_deref(), Some("1 of 2 layers"));
        let half = json!({"status": "Downloading", "id": "a", "progressDetail": {"current": 2_000_000, "total": 4_000_000}});
        progress.note(serde_json::from_value(half).unwrap());
        assert_eq!(progress.line().as_deref(), Some("1 of 2 layers, 2.0 of 4.0 MB"));
        for status in ["Download complete", "Pull complete"] {
            progress.note(serde_json::from_value(json!({"status": status, "id": "a"})).unwrap());
        }
        assert_eq!(progress.line().as_deref(), Some("2 of 2 layers, 4.0 of 4.0 MB"));
        progress.note(serde_json::from_value(json!({"status": "Digest: sha256:0"})).unwrap());
        assert_eq!(progress.line().as_deref(), Some("2 of 2 layers, 4.0 of 4.0 MB"));
    }
}
