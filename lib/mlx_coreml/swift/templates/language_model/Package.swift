// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "__NAME__",
    platforms: [.iOS("18.0"), .macOS("15.0")],
    products: [.library(name: "__NAME__", targets: ["__NAME__"])],
    dependencies: [
        .package(url: "https://github.com/huggingface/swift-transformers", from: "1.1.0")
    ],
    targets: [
        .target(
            name: "__NAME__",
            dependencies: [.product(name: "Tokenizers", package: "swift-transformers")]),
        .executableTarget(name: "Generate", dependencies: ["__NAME__"]),
        .testTarget(
            name: "__NAME__Tests", dependencies: ["__NAME__"], resources: [.copy("Resources/example.json")]),
    ]
)
