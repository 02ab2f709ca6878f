//! The `hookswitch` program.

/// A delivery lives in many small pieces that one thread makes and another frees, which glibc's allocator is
/// slow at; figures in docs/performance.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    hookswitch::cli::main()
}
