//! The `hookswitch` program.

fn main() -> std::process::ExitCode {
    hookswitch::cli::main()
}
