import Artifacts
import Checkpoints
import Failures
import Kernels

/// Writing a model as a Hugging Face checkpoint.
public enum ModelFiles {
  public static func write(_ model: Qwen2VL, base: String, to directory: String) throws -> [String]
  { [] }
}
