//! Prints the JSON schema of native plan files, as it is published:
//! `cargo run -p planlease-formats --example schema > docs/schema/plan.schema.json`.

#![expect(clippy::print_stdout, reason = "printing is all it does")]

fn main() {
    println!("{:#}", planlease_formats::schema());
}
