//! Reads the files of `src/` into what the checks ask about: names, functions, attributes, heads.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A path in the code, such as `crate::types::Amount`, imports included.
pub(crate) struct Name {
    pub(crate) segments: Vec<String>,
    /// The module that it stands in.
    pub(crate) module: Vec<String>,
    pub(crate) line: usize,
    pub(crate) in_test: bool,
    /// What it is called in its module from then on, if it is imported.
    pub(crate) imported_as: Option<String>,
    /// The import is visible outside of its module.
    pub(crate) handed_on: bool,
}

/// What a line of the log says, as it stands in the code.
pub(crate) struct Message {
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) in_test: bool,
}

pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// One file under `src/`.
pub(crate) struct Source {
    /// Below `src/`.
    pub(crate) path: String,
    pub(crate) lines: usize,
    /// The first paragraph of the module's documentation.
    pub(crate) head: String,
    /// Compiled for tests only, as a whole.
    pub(crate) is_test: bool,
    pub(crate) names: Vec<Name>,
    pub(crate) functions: Vec<Function>,
    pub(crate) messages: Vec<Message>,
    /// Line and words of each attribute.
    pub(crate) attributes: Vec<(usize, Vec<String>)>,
    /// Names of modules that other files hold and that are compiled for tests only, with their `#[path]`.
    test_modules: Vec<(String, Option<String>)>,
}

#[derive(Default)]
struct Reader {
    module: Vec<String>,
    in_test: bool,
    hands_on: bool,
    names: Vec<Name>,
    functions: Vec<Function>,
    messages: Vec<Message>,
    attributes: Vec<(usize, Vec<String>)>,
    test_modules: Vec<(String, Option<String>)>,
}

/// Macros of `tracing` that write a line.
const LOG_MACROS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// The text of a log macro: the literal that stands alone between commas; fields come before it, what it formats after it.
fn message_of(tokens: TokenStream) -> Option<(usize, String)> {
    let mut begins = true;
    for token in tokens {
        if let (true, TokenTree::Literal(literal)) = (begins, &token) {
            let text = syn::parse_str::<syn::LitStr>(&literal.to_string()).ok()?.value();
            return Some((literal.span().start().line, text));
        }
        begins = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ',');
    }
    None
}

/// Words of a token stream with their lines: identifiers, and `::` and `.` where they stand.
fn words(tokens: TokenStream, out: &mut Vec<(usize, String)>) {
    for token in tokens {
        let line = token.span().start().line;
        match token {
            TokenTree::Group(group) => {
                out.push((line, "(".to_owned()));
                words(group.stream(), out);
                out.push((line, ")".to_owned()));
            }
            TokenTree::Ident(ident) => out.push((line, ident.to_string())),
            TokenTree::Punct(punct) => out.push((line, punct.as_char().to_string())),
            TokenTree::Literal(_) => out.push((line, "0".to_owned())),
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn attribute_words(attribute: &syn::Attribute) -> Vec<String> {
    let mut found =
        vec![(0, attribute.path().segments.last().map(|s| s.ident.to_string()).unwrap_or_default())];
    if let syn::Meta::List(list) = &attribute.meta {
        words(list.tokens.clone(), &mut found);
    }
    found.into_iter().map(|(_, word)| word).filter(|word| is_word(word)).collect()
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`, `#[cfg(all(test, ...))]`.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let words = attribute_words(attribute);
        let has = |word: &str| words.iter().any(|found| found == word);
        words == ["test"] || (has("cfg") && has("test") && !has("not") && !has("any"))
    })
}

fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn string_of(meta: &syn::Meta) -> Option<String> {
    match meta {
        syn::Meta::NameValue(syn::MetaNameValue {
            value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}

impl Reader {
    fn note(&mut self, segments: Vec<String>, line: usize) {
        self.note_as(segments, line, None);
    }

    fn note_as(&mut self, segments: Vec<String>, line: usize, imported_as: Option<String>) {
        let (module, in_test, handed_on) = (self.module.clone(), self.in_test, self.hands_on);
        self.names.push(Name { segments, module, line, in_test, imported_as, handed_on });
    }

    fn note_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.note_use(&path.tree, &with(&path.ident)),
            // `use a::b::{self}` imports `b`.
            syn::UseTree::Name(name) if name.ident == "self" => {
                self.note_as(before.to_vec(), name.ident.span().start().line, before.last().cloned());
            }
            syn::UseTree::Name(name) => {
                let (path, line) = (with(&name.ident), name.ident.span().start().line);
                self.note_as(path, line, Some(name.ident.to_string()));
            }
            syn::UseTree::Rename(rename) => {
                let (path, line) = (with(&rename.ident), rename.ident.span().start().line);
                self.note_as(path, line, Some(rename.rename.to_string()));
            }
            syn::UseTree::Glob(glob) => {
                let (path, line) = (before.to_vec(), glob.star_token.span.start().line);
                self.note_as(path, line, Some("*".to_owned()));
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.note_use(item, before)),
        }
    }

    /// Paths in a macro's tokens, which syn does not parse.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut found = Vec::new();
        words(tokens, &mut found);
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut after_dot, mut start) = (0, false, 0);
        for (line, word) in found.into_iter().chain([(0, ";".to_owned())]) {
            if word == ":" && !path.is_empty() {
                colons += 1;
            } else if is_word(&word) && colons == 2 {
                path.push(word);
                colons = 0;
            } else {
                let ended = std::mem::take(&mut path);
                // A lone `crate` is a part of `$crate` or of a visibility; after a dot stands a field or a method.
                if !ended.is_empty() && ended != ["crate"] && !after_dot {
                    self.note(ended, start);
                }
                (colons, after_dot) = (0, if is_word(&word) { after_dot } else { word == "." });
                if is_word(&word) {
                    (path, start) = (vec![word], line);
                }
            }
        }
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = signature.fn_token.span.start().line;
        let lines = block.brace_token.span.close().end().line - line + 1;
        self.functions.push(Function { name: signature.ident.to_string(), line, lines });
    }

    fn scoped(&mut self, is_test: bool, inside: impl FnOnce(&mut Self)) {
        let before = self.in_test;
        self.in_test |= is_test;
        inside(self);
        self.in_test = before;
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        self.scoped(is_for_tests(attributes_of(item)), |reader| visit::visit_item(reader, item));
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.content.is_none() && self.in_test {
            let path = module.attrs.iter().find(|attribute| attribute.path().is_ident("path"));
            let path = path.and_then(|attribute| string_of(&attribute.meta));
            self.test_modules.push((module.ident.to_string(), path));
        }
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        item.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        self.hands_on = !matches!(item.vis, syn::Visibility::Inherited);
        self.note_use(&item.tree, &[]);
        self.hands_on = false;
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig, &function.block);
        self.scoped(is_for_tests(&function.attrs), |reader| visit::visit_impl_item_fn(reader, function));
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.function(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let line = path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
        self.note(path.segments.iter().map(|segment| segment.ident.to_string()).collect(), line);
        visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _visibility: &'ast syn::VisRestricted) {}

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        let is_log =
            call.path.segments.last().is_some_and(|last| LOG_MACROS.iter().any(|name| last.ident == name));
        if let Some((line, text)) = message_of(call.tokens.clone()).filter(|_| is_log) {
            self.messages.push(Message { text, line, in_test: self.in_test });
        }
        self.note_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        self.attributes.push((attribute.pound_token.span.start().line, attribute_words(attribute)));
        if let syn::Meta::List(list) = &attribute.meta {
            self.note_tokens(list.tokens.clone());
        }
    }

    fn visit_lit_float(&mut self, literal: &'ast syn::LitFloat) {
        self.note(vec!["f64".to_owned()], literal.span().start().line);
    }
}

fn head_of(file: &syn::File) -> String {
    let is_doc = |attribute: &&syn::Attribute| attribute.path().is_ident("doc");
    let text = file.attrs.iter().filter(is_doc).filter_map(|attribute| string_of(&attribute.meta));
    text.map(|line| line.trim().to_owned()).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

impl Source {
    pub(crate) fn read(path: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod") || module == ["main"] || module == ["lib"] {
            module.pop();
        }
        let mut reader = Reader { module, ..Reader::default() };
        reader.visit_file(&file);
        let Reader { names, functions, messages, attributes, test_modules, .. } = reader;
        let (path, lines, head) = (path.to_owned(), text.lines().count(), head_of(&file));
        Self { path, lines, head, is_test: false, names, functions, messages, attributes, test_modules }
    }

    /// The folder or file right under `src/` that it belongs to.
    pub(crate) fn folder(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// The names outside of tests.
    pub(crate) fn used(&self) -> impl Iterator<Item = &Name> {
        self.names.iter().filter(|name| !self.is_test && !name.in_test)
    }

    /// Its modules for tests: their files without extension, which are the names of their folders as well.
    fn test_files(&self) -> Vec<String> {
        let path = Path::new(&self.path);
        let parent = path.parent().unwrap_or(Path::new(""));
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let own =
            if ["mod", "lib", "main"].contains(&stem) { parent.to_path_buf() } else { parent.join(stem) };
        let file = |(name, path): &(String, Option<String>)| match path {
            Some(path) => parent.join(path.trim_end_matches(".rs")),
            None => own.join(name),
        };
        self.test_modules.iter().map(|module| file(module).to_string_lossy().into_owned()).collect()
    }
}

fn files_of(folder: &Path, extensions: &[&str], out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            files_of(&path, extensions, out);
        } else if extension.is_some_and(|extension| extensions.contains(&extension)) {
            out.push(path);
        }
    }
}

/// The texts of a folder's files of these kinds, with their paths from the repository's root, in order.
pub(crate) fn folder_text(folder: &str, extensions: &[&str]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    files_of(&root().join(folder), extensions, &mut files);
    files.sort();
    let read = |file: PathBuf| {
        let path = file.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        (path, std::fs::read_to_string(file).unwrap())
    };
    files.into_iter().map(read).collect()
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn mark_tests(sources: &mut [Source]) {
    let tests: Vec<String> = sources.iter().flat_map(Source::test_files).collect();
    for source in sources {
        let path = source.path.trim_end_matches(".rs");
        source.is_test = tests.iter().any(|test| path == test || path.starts_with(&format!("{test}/")));
    }
}

/// All of `src/`, read once for all tests.
pub(crate) fn house() -> &'static [Source] {
    static HOUSE: OnceLock<Vec<Source>> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let read = |(path, text): (String, String)| Source::read(path.trim_start_matches("src/"), &text);
        let mut sources: Vec<Source> = folder_text("src", &["rs"]).into_iter().map(read).collect();
        mark_tests(&mut sources);
        sources
    })
}
