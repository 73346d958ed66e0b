//! Files and folders.

use pebble_client::{Error, FileKind, NewFile, Ownership};

use super::{Failure, Far};

/// Asserts that Pebble refuses a path, and not because it is missing.
#[track_caller]
fn forbidden<T>(answer: Result<T, Error>, words: &str) {
    let text = match answer {
        Err(error) if !error.is_not_found() => error.to_string(),
        Err(error) => panic!("it is missing: {error}"),
        Ok(_) => panic!("done instead of {words}"),
    };
    assert!(text.contains(words), "{text}");
}

/// Asserts that a path is missing.
#[track_caller]
fn missing<T>(answer: Result<T, Error>) {
    let missing = answer.err().map(|error| (error.is_not_found(), error));
    assert!(matches!(missing, Some((true, _))), "{missing:?}");
}

/// Bytes come back as they were written, whatever the path is called.
pub(crate) async fn files_are_kept(far: &Far) -> Result<(), Failure> {
    let Far { client, root, .. } = far;
    let folder = format!("{root}/a b&c/\"d\\é");
    let path = format!("{folder}/file.bin");
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    missing(client.pull(&path).await);
    assert_eq!(client.pull_text(&path).await?, None);
    missing(client.push(&path, &content, &Ownership::default()).await);
    client.push(&path, &content, &Ownership::make_dirs().mode(0o640)).await?;
    assert_eq!(client.pull(&path).await?, content);
    client.push(&path, b"", &Ownership::default()).await?;
    assert_eq!(client.pull_text(&path).await?.as_deref(), Some(""));
    let other = format!("{folder}/other");
    client.push(&other, "\r\n--", &Ownership::default()).await?;
    let both = client.pull_texts(&[&other, "/no/such/file", &path]).await?;
    assert_eq!(both, [Some("\r\n--".to_owned()), None, Some(String::new())]);
    forbidden(client.pull(&folder).await, "can only read a regular file");
    forbidden(client.push("relative", "", &Ownership::make_dirs()).await, "must be absolute");
    Ok(())
}

/// A file has the owner and mode of its last write, and so have the folders made on its way.
pub(crate) async fn owners_and_modes_are_set(far: &Far) -> Result<(), Failure> {
    let Far { client, root, user } = far;
    let look = async |path: &str| {
        let found = client.stat(path).await?.ok_or_else(|| format!("{path} is missing"))?;
        let owner =
            (found.user.clone().unwrap_or_default(), found.group.clone().unwrap_or_default());
        assert_eq!(owner.0, owner.1);
        Ok::<_, Failure>((owner.0, found.mode()))
    };
    let owned = |mode: u32| Ownership::make_dirs().mode(mode).owner(user, user);
    let (folder, path) = (format!("{root}/way"), format!("{root}/way/secret"));
    let theirs = |mode: u32| ((*user).to_owned(), Some(mode));
    let root = |mode: u32| ("root".to_owned(), Some(mode));
    client.push(&path, "1", &owned(0o400)).await?;
    assert_eq!(look(&path).await?, theirs(0o400));
    assert_eq!(look(&folder).await?, theirs(0o755));
    client.push(&path, "2", &Ownership::default()).await?;
    assert_eq!(look(&path).await?, root(0o644));
    client.push(&path, "3", &owned(0o600)).await?;
    assert_eq!(look(&path).await?, theirs(0o600));
    let deep = format!("{folder}/one/two");
    client.make_dir(&deep, &owned(0o700)).await?;
    assert_eq!(look(&deep).await?, theirs(0o700));
    assert_eq!(look(&format!("{folder}/one")).await?, theirs(0o700));
    client.make_dir(&deep, &Ownership::make_dirs().mode(0o755)).await?;
    assert_eq!(look(&deep).await?, theirs(0o700), "a folder that is there stays as it is");
    let stranger = Ownership::make_dirs().owner("no-such-user", "no-such-user");
    forbidden(client.push(&path, "4", &stranger).await, "unknown user");
    forbidden(client.make_dir(&format!("{folder}/new"), &stranger).await, "unknown user");
    assert_eq!(client.pull_text(&path).await?.as_deref(), Some("3"));
    Ok(())
}

/// Several files or folders go in one request, each with its own owner and mode, and one that
/// cannot be written does not keep the others from it.
pub(crate) async fn several_files_go_together(far: &Far) -> Result<(), Failure> {
    let Far { client, root, user } = far;
    let [one, two, three] = ["1", "2", "3"].map(|name| format!("{root}/several/{name}"));
    let file = |path, content, ownership| NewFile { path, content, ownership };
    let owned = Ownership::make_dirs().mode(0o400).owner(user, user);
    let stranger = Ownership::make_dirs().owner("no-such-user", "no-such-user");
    let good = [file(&one, b"a", owned.clone()), file(&two, b"b", Ownership::default())];
    client.push_all(&good).await?;
    let texts = client.pull_texts(&[&one, &two]).await?;
    assert_eq!(texts, [Some("a".to_owned()), Some("b".to_owned())]);
    let found = [client.stat(&one).await?, client.stat(&two).await?];
    let modes = found.map(|found| found.and_then(|found| found.mode()));
    assert_eq!(modes, [Some(0o400), Some(0o644)]);
    let bad = file(&two, b"x", stranger);
    forbidden(client.push_all(&[bad, file(&three, b"c", owned)]).await, "unknown user");
    let texts = client.pull_texts(&[&two, &three]).await?;
    assert_eq!(texts, [Some("b".to_owned()), Some("c".to_owned())]);
    let folders = [format!("{root}/several/4"), format!("{root}/several/5")];
    let paths = folders.each_ref().map(String::as_str);
    client.make_dirs(&paths, &Ownership::default()).await?;
    let stat = client.stat(&folders[1]).await?;
    assert_eq!(stat.map(|found| found.kind), Some(FileKind::Directory));
    forbidden(client.make_dirs(&paths, &Ownership::default()).await, "file exists");
    Ok(())
}

/// Folders are made with those above them only where that is asked.
pub(crate) async fn folders_are_made(far: &Far) -> Result<(), Failure> {
    let Far { client, root, .. } = far;
    let deep = format!("{root}/e/f");
    missing(client.make_dir(&deep, &Ownership::default()).await);
    client.make_dir(&deep, &Ownership::make_dirs()).await?;
    client.make_dir(&deep, &Ownership::make_dirs()).await?;
    forbidden(client.make_dir(&deep, &Ownership::default()).await, "file exists");
    let found = client.stat(&deep).await?.ok_or("the folder is missing")?;
    assert_eq!((found.kind, found.mode()), (FileKind::Directory, Some(0o755)));
    Ok(())
}

/// A folder is listed by name and pattern, and goes only when it is empty or all of it may go.
pub(crate) async fn files_are_listed_and_removed(far: &Far) -> Result<(), Failure> {
    let Far { client, root, .. } = far;
    let folder = format!("{root}/some");
    missing(client.list_files(&folder, "*").await);
    assert_eq!(client.stat(&folder).await?, None);
    client.make_dir(&format!("{folder}/b_dir"), &Ownership::make_dirs()).await?;
    for name in ["c_1", "b_2", "b_1", "a.b_"] {
        client.push(&format!("{folder}/{name}"), "", &Ownership::default().mode(0o600)).await?;
    }
    let list = async |pattern: &str| {
        let found = client.list_files(&folder, pattern).await?;
        let names = found.into_iter().map(|file| (file.name, file.kind));
        Ok::<_, Failure>(names.collect::<Vec<_>>())
    };
    let file = |name: &str| (name.to_owned(), FileKind::File);
    let dir = ("b_dir".to_owned(), FileKind::Directory);
    assert_eq!(list("").await?, [file("a.b_"), file("b_1"), file("b_2"), dir.clone(), file("c_1")]);
    assert_eq!(list("b_*").await?, [file("b_1"), file("b_2"), dir]);
    assert_eq!(list("*_1").await?, [file("b_1"), file("c_1")]);
    assert_eq!(list("nothing*").await?, []);
    let path = format!("{folder}/b_1");
    assert_eq!(client.stat(&path).await?.map(|info| info.path), Some(path.clone()));
    client.remove_path(&path, false).await?;
    missing(client.remove_path(&path, false).await);
    client.remove_path(&path, true).await?;
    client.remove_path(&format!("{folder}/b_dir"), false).await?;
    forbidden(client.remove_path(&folder, false).await, "not empty");
    client.remove_path(&folder, true).await?;
    assert_eq!(client.stat(&folder).await?, None);
    Ok(())
}
