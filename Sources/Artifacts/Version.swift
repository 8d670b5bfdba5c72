/// The version of the programs, which `--version` prints and manifests and tarballs record.
public enum Version {
  public static let current = "0.1.0"
}
