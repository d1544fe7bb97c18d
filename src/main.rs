//! Atelier.
fn main() {
    for c in atelier::api::crds::all() {
        print!("---\n{}", atelier::api::crds::yaml(&c).unwrap_or_default());
    }
}
