//! A server that speaks like S3 (moto, of Python), on this machine, as long as the tests run.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use chartvault::{NewStoreTarget, StoreTarget};

/// What is installed, once for all runs.
const PACKAGE: &str = "moto[server]==5.2.5";

/// Serves until its input ends, and does what it is told there, a line each.
const SCRIPT: &str = r#"
import boto3, sys, logging
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                  aws_access_key_id="test", aws_secret_access_key="test")
print(port, flush=True)

def over_tls(path):
    import datetime, ipaddress, threading
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server
    def certificate(name, public, issuer, key, *extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public)
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
        for extension, is_critical in extensions:
            made = made.add_extension(extension, is_critical)
        return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    name = lambda text: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    with open(path + "/root.pem", "wb") as file:
        file.write(certificate(name("root"), root.public_key(), name("root"), root, (x509.BasicConstraints(True, None), True)))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    with open(path + "/own.pem", "wb") as file:
        file.write(certificate(name("own"), own.public_key(), name("root"), root, (address, False)))
        file.write(own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    app = DomainDispatcherApplication(create_backend_app)
    served = make_server("127.0.0.1", 0, app, True, ssl_context=(path + "/own.pem", path + "/own.pem"))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    return served.server_port
for line in sys.stdin:
    what, bucket, *rest = line.split()
    said = "ok"
    if what == "bucket":
        s3.create_bucket(Bucket=bucket)
    elif what == "locked":
        s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}})
    elif what == "fill":
        for n in range(int(rest[1])):
            s3.put_object(Bucket=bucket, Key=f"{rest[0]}{n:06}", Body=b"x" * (n % 7))
    elif what == "put":
        s3.put_object(Bucket=bucket, Key=rest[0], Body=rest[1].encode())
    elif what == "keys":
        said = " ".join(o["Key"] for o in s3.list_objects_v2(Bucket=bucket).get("Contents", []))
    elif what == "versions":
        said = " ".join(v["VersionId"] for v in s3.list_object_versions(Bucket=bucket, Prefix=rest[0]).get("Versions", []))
    elif what == "tls":
        said = str(over_tls(bucket))
    elif what == "destroy":
        try:
            s3.delete_object(Bucket=bucket, Key=rest[0], VersionId=rest[1])
        except Exception as error:
            said = f"refused {error}"
    print(said.replace("\n", " "), flush=True)
"#;

pub struct Server {
    _child: Child,
    pub port: u16,
    told: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// The server of all tests; nothing, and a line that says so, where Python or the package cannot be had.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| match Server::start() {
        Ok(server) => Some(server),
        Err(why) => {
            println!("{PACKAGE} cannot be had here ({why})");
            None
        }
    });
    if server.is_none() {
        println!("no server that speaks like S3: skipped");
    }
    server.as_ref()
}

/// The Python that has the package.
fn python() -> Result<PathBuf, String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("backup-store-python");
    let python = dir.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let done = dir.join(format!("has {PACKAGE}"));
    if !done.exists() {
        let _ = std::fs::remove_dir_all(&dir);
        run(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE]))?;
        std::fs::write(done, "").map_err(|error| error.to_string())?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(said.lines().last().unwrap_or("no reason given").to_owned()) }
}

impl Server {
    fn start() -> Result<Self, String> {
        let mut child = Command::new(python()?)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line).map_err(|error| error.to_string())?;
        let port = line.trim().parse().map_err(|_| "it did not start".to_owned())?;
        Ok(Self { _child: child, port, told: Mutex::new((input, output)) })
    }

    /// Has it do something to a bucket.
    pub fn tell(&self, what: &str) -> String {
        let (input, output) = &mut *self.told.lock().unwrap();
        writeln!(input, "{what}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{what}: the server ended");
        line.trim_end().to_owned()
    }

    /// A target in a bucket of it that is made now.
    pub fn target(&self, bucket: &str) -> StoreTarget {
        assert_eq!(self.tell(&format!("bucket {bucket}")), "ok");
        new_target(self.port, bucket).open().unwrap()
    }
}

/// A target that is asked for on this port of this machine.
pub fn new_target(port: u16, bucket: &str) -> NewStoreTarget {
    StoreTarget::s3(bucket, "ward-3/of_clinic.a")
        .setting("endpoint", format!("http://127.0.0.1:{port}"))
        .setting("region", "us-east-1")
        .setting("access_key_id", "AKIAKEYOFTHETEST")
        .setting("secret_access_key", "the-secret-of-the-test")
}
