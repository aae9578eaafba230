//! Builds and describes enclave images with AWS's own library, for the tests of shared/eif to be held against.
//!
//!   eif-oracle build OUT x86_64|arm64 CMDLINE METADATA.json KERNEL RAMDISK...   prints the registers as JSON
//!   eif-oracle sign FILE KEY.pem CERTIFICATE.pem                                 signs in place
//!   eif-oracle describe FILE                                                     prints registers and checks as JSON

use aws_nitro_enclaves_image_format::defs::{EIF_HDR_ARCH_ARM64, EifIdentityInfo};
use aws_nitro_enclaves_image_format::utils::eif_reader::EifReader;
use aws_nitro_enclaves_image_format::utils::{EifBuilder, EifSigner, SignKeyData};
use serde_json::json;
use sha2::{Digest, Sha384};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

type Answer = Result<serde_json::Value, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let answer = match words.as_slice() {
        ["build", out, arch, cmdline, metadata, kernel, ramdisks @ ..] => {
            build(out, arch, cmdline, metadata, kernel, ramdisks)
        }
        ["sign", file, key, certificate] => sign(file, key, certificate),
        ["describe", file] => describe(file),
        _ => Err("usage: build OUT ARCH CMDLINE METADATA KERNEL RAMDISK... | sign FILE KEY CERTIFICATE | describe FILE".into()),
    };
    match answer {
        Ok(value) => {
            println!("{value:#}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("eif-oracle: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn build(out: &str, arch: &str, cmdline: &str, metadata: &str, kernel: &str, ramdisks: &[&str]) -> Answer {
    let flags = match arch {
        "x86_64" => 0,
        "arm64" => EIF_HDR_ARCH_ARM64,
        _ => return Err(format!("{arch}: no such architecture")),
    };
    let text = std::fs::read_to_string(metadata).map_err(|e| format!("{metadata}: {e}"))?;
    let info: EifIdentityInfo = serde_json::from_str(&text).map_err(|e| format!("{metadata}: {e}"))?;
    let mut builder = EifBuilder::new(Path::new(kernel), cmdline.into(), None, Sha384::new(), flags, info);
    for ramdisk in ramdisks {
        builder.add_ramdisk(Path::new(ramdisk));
    }
    let mut file = File::create(out).map_err(|e| format!("{out}: {e}"))?;
    Ok(registers(builder.write_to(&mut file)))
}

fn sign(file: &str, key: &str, certificate: &str) -> Answer {
    let data = SignKeyData::new(key, Path::new(certificate))?;
    EifSigner::new(Some(data)).ok_or("no signer")?.sign_image(file)?;
    describe(file)
}

fn describe(file: &str) -> Answer {
    let mut reader = EifReader::from_eif(file.into())?;
    let measurements = reader.get_measurements()?;
    let signed = reader.signature_section.is_some();
    if signed {
        reader.get_certificate_info(measurements.clone())?;
    }
    Ok(json!({
        "checksum": reader.check_crc(),
        "signature": reader.sign_check,
        "registers": registers(measurements),
    }))
}

fn registers(measurements: BTreeMap<String, String>) -> serde_json::Value {
    let pcrs = measurements.into_iter().filter(|(name, _)| name.starts_with("PCR"));
    json!(pcrs.collect::<BTreeMap<_, _>>())
}
