// swift-tools-version: 6.0
import PackageDescription

// The arithmetic of the inner loops: no overflow traps, AVX2 on x86. Input never reaches
// these loops unchecked: every public entry of Kernels checks its shapes once.
// What runs between them keeps its traps.
let unchecked: [SwiftSetting] = [.unsafeFlags(["-Ounchecked"])]
#if arch(x86_64)
  let vector: [SwiftSetting] = [.unsafeFlags(["-Xcc", "-march=x86-64-v3"])]
#else
  let vector: [SwiftSetting] = []
#endif

/// The floors of the source, lowest first: each module imports only from below.
let floors: [(name: String, needs: [Target.Dependency], settings: [SwiftSetting])] = [
  ("Failures", [], []),
  ("Ranks", ["Failures"], []),
  ("Kernels", ["CGlibc", "COneDNN", "COpenBLAS"], unchecked + vector),
  ("Tensors", ["Kernels"], vector),
  ("Artifacts", ["CLMDB", "CXXHash", "CZstd", "Failures", "Kernels"], []),
  ("Checkpoints", ["Failures", "Kernels", "Artifacts"], []),
  ("Tokenization", ["Failures", "Kernels", "Artifacts"], []),
  (
    "Imaging", ["CGIF", "CSPNG", "CTurboJPEG", "CWebP", "Failures", "Kernels", "Artifacts"], []
  ),
  (
    "Models",
    ["Failures", "Kernels", "Tensors", "Artifacts", "Checkpoints", "Tokenization", "Imaging"], []
  ),
  ("Decoding", ["Failures", "Kernels", "Tensors", "Artifacts", "Checkpoints", "Models"], []),
  (
    "Distillation",
    ["Failures", "Kernels", "Tensors", "Artifacts", "Checkpoints", "Models", "Decoding"], []
  ),
  (
    "Training",
    [
      "Failures", "Ranks", "Kernels", "Tensors", "Artifacts", "Checkpoints", "Tokenization",
      "Imaging", "Models", "Distillation",
    ], []
  ),
  ("Evaluation", ["Failures", "Kernels", "Artifacts", "Imaging"], []),
  (
    "Reporting",
    [
      "Failures", "Tensors", "Artifacts", "Checkpoints", "Tokenization", "Imaging", "Models",
      "Decoding", "Distillation", "Training", "Evaluation",
    ], []
  ),
  (
    "StageKit",
    [
      "CGlibc", "CTensorBoard", "Failures", "Ranks", "Kernels", "Tensors", "Artifacts", "Imaging",
      "Models", "Decoding", "Distillation", "Training",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
      .product(name: "Logging", package: "swift-log"), .product(name: "Yams", package: "Yams"),
    ], []
  ),
  (
    "Planning",
    [
      "Failures", "Kernels", "Tensors", "Artifacts", "Checkpoints", "Models", "Distillation",
      "Training", "StageKit",
    ], []
  ),
]

let stages: [(name: String, needs: [String])] = [
  (
    "vlsi-synthesize",
    ["Kernels", "Artifacts", "Checkpoints", "Tokenization", "Models"]
  ),
  (
    "vlsi-prepare",
    ["CArchive", "Kernels", "Artifacts", "Checkpoints", "Tokenization", "Imaging", "Models"]
  ),
  (
    "vlsi-extract",
    [
      "Kernels", "Tensors", "Artifacts", "Checkpoints", "Models", "Distillation", "Training",
      "Planning",
    ]
  ),
  (
    "vlsi-verbalize",
    ["Tensors", "Artifacts", "Checkpoints", "Models", "Distillation", "Training", "Planning"]
  ),
  (
    "vlsi-target",
    [
      "Kernels", "Tensors", "Artifacts", "Checkpoints", "Tokenization", "Distillation", "Training",
      "Planning",
    ]
  ),
  (
    "vlsi-align",
    [
      "Kernels", "Tensors", "Artifacts", "Checkpoints", "Models", "Distillation", "Training",
      "Reporting", "Planning",
    ]
  ),
  (
    "vlsi-finetune",
    [
      "Kernels", "Tensors", "Artifacts", "Checkpoints", "Models", "Distillation", "Training",
      "Reporting", "Planning",
    ]
  ),
  (
    "vlsi-evaluate",
    [
      "Kernels", "Artifacts", "Tokenization", "Imaging", "Models", "Decoding", "Training",
      "Evaluation", "Planning",
    ]
  ),
  (
    "vlsi-plan", ["Kernels", "Artifacts", "Checkpoints", "Training", "Evaluation", "Planning"]
  ),
  ("vlsi-report", ["Kernels", "Artifacts", "Models", "Reporting"]),
  ("vlsi-compare", ["Artifacts", "Evaluation", "Reporting"]),
  (
    "vlsi-generate",
    [
      "Kernels", "Artifacts", "Checkpoints", "Tokenization", "Imaging", "Models", "Decoding",
      "Distillation", "Training",
    ]
  ),
  ("vlsi-dump", ["Kernels", "Artifacts", "Checkpoints", "Tokenization", "Imaging", "Models"]),
  (
    "vlsi-bench",
    [
      "CZstd", "Kernels", "Tensors", "Artifacts", "Imaging", "Models", "Decoding", "Distillation",
      "Training", "Planning",
    ]
  ),
]

/// The tests, and what they test besides the floors.
let tests: [(name: String, programs: [String])] = [
  ("FailuresTests", []), ("RanksTests", ["try-ranks"]), ("KernelsTests", []), ("TensorsTests", []),
  ("ArtifactsTests", ["CLMDB"]),
  ("CheckpointsTests", []), ("DumpTests", ["vlsi-dump"]), ("TokenizationTests", []),
  ("ImagingTests", []), ("PrepareTests", ["vlsi-prepare"]), ("ModelsTests", []),
  ("DistillationTests", []), ("TrainingTests", []), ("EvaluationTests", ["vlsi-synthesize"]),
  ("ReportingTests", []), ("PlanningTests", []), ("StageKitTests", []), ("PipelineTests", []),
  ("FuzzTests", ["vlsi-prepare"]),
]

let package = Package(
  name: "vlsi",
  products: stages.map { .executable(name: $0.name, targets: [$0.name]) },
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "COneDNN", providers: [.apt(["libdnnl-dev"])]),
    .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .systemLibrary(
      name: "CTurboJPEG", pkgConfig: "libturbojpeg", providers: [.apt(["libturbojpeg0-dev"])]),
    .systemLibrary(name: "CSPNG", pkgConfig: "spng", providers: [.apt(["libspng-dev"])]),
    .systemLibrary(name: "CWebP", pkgConfig: "libwebpdemux", providers: [.apt(["libwebp-dev"])]),
    .systemLibrary(name: "CGlibc"),
    // Made from event.proto by protoc-c.
    .target(
      name: "CTensorBoard", exclude: ["event.proto"],
      linkerSettings: [.linkedLibrary("protobuf-c")]),
    .systemLibrary(
      name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
    .systemLibrary(name: "CGIF", pkgConfig: "libgif", providers: [.apt(["libgif-dev"])]),
  ]
    + floors.map {
      .target(name: $0.name, dependencies: $0.needs, swiftSettings: $0.settings)
    }
    + stages.map {
      .executableTarget(
        name: $0.name, dependencies: ["StageKit", "Failures"] + $0.needs.map { .byName(name: $0) })
    }
    + [
      // What the tests of Ranks have launchers start.
      .executableTarget(
        name: "try-ranks", dependencies: ["Ranks", "Failures"], path: "Tests/TryRanks"),
      .target(
        name: "TestSupport", dependencies: ["Artifacts", "Failures"], path: "Tests/TestSupport"),
    ]
    // A test sees every floor: one that it imports unnamed would not be built anew for it.
    + tests.map {
      .testTarget(
        name: $0.name,
        dependencies: ["TestSupport"] + floors.map { .byName(name: $0.name) }
          + $0.programs.map { .byName(name: $0) })
    }
)
