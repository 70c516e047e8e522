//! The attributes that register a suite's tests: a test that carries one runs, and one without it is dead
//! code.
//!
//! They only name the function to the registry (`planlease_tests::suite`), so a list of tests cannot be
//! incomplete. Parsed without a library: all that is needed is the function's name.

use proc_macro::{TokenStream, TokenTree};

/// Registers a test, `async fn(TestEnv)`, which runs once on each server of its suite.
///
/// - `#[case]`: it shares a server with other tests, below a prefix of its own.
/// - `#[case(alone)]`: it has a server of its own: it compacts, counts revisions, or stops the server.
/// - `#[case(one_at_a_time)]`: it runs after all others, while no other test runs: it measures, or needs all
///   cores.
#[proc_macro_attribute]
pub fn case(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut modes = Vec::new();
    for argument in words(arguments) {
        if !["alone", "one_at_a_time"].contains(&argument.as_str()) {
            return error("expected `alone`, `one_at_a_time`, or both");
        }
        modes.push(format!("{argument}: true,"));
    }
    let Some(function) = Function::of(&item) else { return error("expected a function") };
    let name = &function.name;
    let run = format!("OnServer(|env| ::std::boxed::Box::pin({name}(env)))");
    registered(item, name, &modes.concat(), &run)
}

/// Registers a test without arguments, which starts the servers it needs.
///
/// `#[plain(on_etcd)]` puts it among the tests on that server, by whose name tests are chosen or left out. An
/// `async fn` runs on the suite's runtime. `one_at_a_time` means the same as for
/// `case`.
#[proc_macro_attribute]
pub fn plain(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let (modes, group): (Vec<String>, Vec<String>) =
        words(arguments).into_iter().partition(|word| word == "one_at_a_time");
    let ([] | [_]) = group.as_slice() else { return error("expected the name of one server, or none") };
    let Some(function) = Function::of(&item) else { return error("expected a function") };
    let name = &function.name;
    let group = group.first().map(|group| format!("group: Some(\"{group}\"),")).unwrap_or_default();
    let run = if function.is_async {
        format!("Plain(|| ::std::boxed::Box::pin({name}()))")
    } else {
        format!("Blocking({name})")
    };
    let modes: String = modes.iter().map(|mode| format!("{mode}: true,")).collect();
    registered(item, name, &(modes + &group), &run)
}

/// The function that an attribute stands on.
struct Function {
    name: String,
    is_async: bool,
}

impl Function {
    fn of(item: &TokenStream) -> Option<Self> {
        let mut tokens = item.clone().into_iter();
        let mut is_async = false;
        loop {
            let TokenTree::Ident(word) = tokens.next()? else { continue };
            match word.to_string().as_str() {
                "async" => is_async = true,
                "fn" => return Some(Self { name: tokens.next()?.to_string(), is_async }),
                _ => {}
            }
        }
    }
}

/// The words between the commas.
fn words(arguments: TokenStream) -> Vec<String> {
    arguments.into_iter().map(|token| token.to_string()).filter(|token| token != ",").collect()
}

/// The function, and its entry in the registry.
fn registered(item: TokenStream, name: &str, fields: &str, run: &str) -> TokenStream {
    let entry = format!(
        "::planlease_tests::inventory::submit! {{
            ::planlease_tests::suite::Case {{
                {fields}
                ..::planlease_tests::suite::Case::new(
                    module_path!(), \"{name}\", ::planlease_tests::suite::Run::{run},
                )
            }}
        }}"
    );
    let mut all = item;
    all.extend(parsed(&entry));
    all
}

fn error(message: &str) -> TokenStream {
    parsed(&format!("compile_error!(\"{message}\");"))
}

fn parsed(source: &str) -> TokenStream {
    source.parse().expect("written here")
}
