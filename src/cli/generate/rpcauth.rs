//! A user of the RPC server as a line of the configuration: the hash of a password, never the password.

use zeroize::Zeroizing;

use crate::cli::password::PasswordArgs;
use crate::cli::{CliError, output};
use crate::rpc::RpcUser;
use crate::runtime::config::RpcRole;

/// Arguments of `timed generate rpcauth`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The user's name.
    user: String,
    /// What the user may call: methods that change nothing, also sendrawtransaction, or all.
    #[arg(long, default_value = "admin", value_parser = role)]
    role: RpcRole,
    /// Without one of these a password is made, and told on standard error.
    #[command(flatten)]
    password: PasswordArgs,
}

fn role(text: &str) -> Result<RpcRole, String> {
    let names = RpcRole::ALL.map(RpcRole::name).join(", ");
    RpcRole::of_name(text).ok_or_else(|| format!("expected one of {names}"))
}

fn random_hex<const N: usize>() -> Result<Zeroizing<String>, CliError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut())?;
    Ok(Zeroizing::new(hex::encode(bytes.as_ref())))
}

/// The user as an entry of `[rpc] users`.
///
/// # Errors
/// When the name can't be one, there is no password, or no random number.
pub(super) fn line(args: &Args) -> Result<String, CliError> {
    let (password, is_new) = match args.password.is_given() {
        true => (args.password.read()?, false),
        false => (random_hex::<24>()?, true),
    };
    if password.is_empty() {
        return Err(CliError::Usage("the password is empty".to_owned()));
    }
    let salt = random_hex::<16>()?;
    let entry = RpcUser::line(&args.user, &salt, &password, args.role);
    // What the server would not take is not told as if it did. Users are separated by commas in a variable.
    let entry = entry.filter(|entry| {
        !args.user.contains([':', ',', '"', '\\'])
            && !args.user.contains(char::is_control)
            && entry.parse::<RpcUser>().is_ok()
    });
    let Some(entry) = entry else {
        let name = &args.user;
        return Err(CliError::Usage(format!(
            "{name:?} can't be a user's name; it has no : , \" or \\, and is not empty"
        )));
    };
    if is_new {
        output::notice(format_args!("password of {}: {}", args.user, password.as_str()));
    }
    output::notice(
        "put this under [rpc] of the node's configuration, beside users that are there already, and restart it:",
    );
    Ok(format!("users = [\"{entry}\"]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ExitKind;
    use crate::runtime::{Config, ConfigSources};

    fn of(user: &str, role: RpcRole) -> Result<String, CliError> {
        line(&Args { user: user.to_owned(), role, password: PasswordArgs::default() })
    }

    #[test]
    fn what_is_printed_is_a_line_of_a_configuration_and_another_one_each_time() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.toml");
        for role in RpcRole::ALL {
            let line = of("alice", role).unwrap();
            assert_ne!(line, of("alice", role).unwrap(), "salt and password are new");
            std::fs::write(&path, format!("[rpc]\nauth = \"users\"\n{line}\n")).unwrap();
            let config =
                Config::load(&ConfigSources { file: Some(path.clone()), ..Default::default() }).unwrap();
            assert!(config.rpc.users[0].starts_with("alice:") && config.rpc.users[0].ends_with(role.name()));
        }
    }

    #[test]
    fn names_that_the_server_does_not_take_are_refused() {
        for name in ["", "a:b", "__cookie__", "a,b", "a\"b", "a\nb"] {
            let refused = of(name, RpcRole::Read).unwrap_err();
            assert_eq!(refused.kind(), ExitKind::Usage, "{name:?}");
            assert!(
                refused.to_string().starts_with(&format!("{name:?} can't be a user's name; ")),
                "{refused}"
            );
        }
    }
}
