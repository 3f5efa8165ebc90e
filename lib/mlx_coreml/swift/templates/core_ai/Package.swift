// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "__NAME__",
    platforms: [.iOS("27.0"), .macOS("27.0")],
    products: [.library(name: "__NAME__", targets: ["__NAME__"])],
    targets: [
        .target(name: "__NAME__", resources: [.copy("Resources/Model.aimodel")]),
        .executableTarget(name: "Demo", dependencies: ["__NAME__"]),
        .testTarget(
            name: "__NAME__Tests", dependencies: ["__NAME__"], resources: [.copy("Resources/example.json")]),
    ]
)
