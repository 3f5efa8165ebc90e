"""What the tools of macOS print on Macs of five kinds, and on those that are set up in other ways.

`install(machine, folder)` writes them as commands, for the front of PATH; a tool that a machine lacks fails
as there.
The shapes of the texts are those of macOS 14 to 26; numbers that nothing reads are made up.
"""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

TOOLS = ("sysctl", "ioreg", "pmset", "sw_vers", "system_profiler", "xcrun", "xcode-select", "vm_stat")
TOOLS += ("notifyutil", "swift", "caffeinate")
NO_TOOLS = 'xcrun: error: unable to find utility "xctest", not a developer tool or in PATH'
NO_DEVELOPER = (
    "xcode-select: error: unable to get active developer directory, use `sudo xcode-select --switch`"
)
FOLDERS = {
    "Xcode": "/Applications/Xcode.app/Contents/Developer",
    "Command Line Tools": "/Library/Developer/CommandLineTools",
}
NO_XCTEST = "error: no such module 'XCTest'"  # of the compiler that the Command Line Tools bring
FAILURES = {"xcrun": NO_TOOLS, "swift": NO_DEVELOPER, "xcode-select": NO_DEVELOPER}


@dataclass(frozen=True)
class Mac:
    """A Mac as its tools tell of it."""

    chip: str
    gpu: int
    memory: int
    performance: int
    efficiency: int
    macos: str = "26.1"
    battery: str = "AC Power"
    portable: bool = True
    low_power: int = 0
    xcode: str = "Xcode"  # or "Command Line Tools", or "none"
    pressure: int = 0
    translated: int = 0

    def answers(self) -> dict[str, str]:
        """Command -> what it prints; what is not here fails."""
        cores = self.performance + self.efficiency
        told = {
            "sysctl -n machdep.cpu.brand_string": self.chip,
            "sysctl -n hw.memsize": str(self.memory * 2**30),
            "sysctl -n hw.ncpu": str(cores),
            "sysctl -n hw.perflevel0.physicalcpu": str(self.performance),
            "sysctl -n hw.perflevel1.physicalcpu": str(self.efficiency),
            "sysctl -n hw.optional.arm64": "1",
            "sysctl -n sysctl.proc_translated": str(self.translated),
            "sysctl -n kern.osproductversion": self.macos,
            "sysctl -n vm.swapusage": "total = 2048.00M  used = 1165.25M  free = 882.75M  (encrypted)",
            "ioreg -rc AGXAccelerator": self._accelerator(),
            "pmset -g batt": self._battery(),
            "pmset -g": self._settings(),
            "pmset -g therm": NOT_RECORDED,
            "sw_vers": f"ProductName:\t\tmacOS\nProductVersion:\t\t{self.macos}\nBuildVersion:\t\t25B78",
            "sw_vers -productVersion": self.macos,
            "system_profiler SPDisplaysDataType": self._displays(),
            "vm_stat": VM_STAT,
            "notifyutil -g com.apple.system.thermalpressurelevel": f"{THERMAL} {self.pressure}",
            "caffeinate -i true": "",
        }
        return told | self._developer()

    def _accelerator(self) -> str:
        return f"""\
+-o AGXAcceleratorG15X  <class AGXAcceleratorG15X, id 0x100000a5d, registered, matched, active>
    {{
      "CFBundleIdentifier" = "com.apple.AGXG15X"
      "IOClass" = "AGXAcceleratorG15X"
      "GPUConfigurationVariable" = {{"num_gps"=4,"gpu_gen"=15,"usc_gen"=3,"num_cores"={self.gpu}}}
      "gpu-core-count" = {self.gpu}
      "model" = "{self.chip}"
      "PerformanceStatistics" = {{"Device Utilization %"=7,"In use system memory"=715292672}}
      "MetalPluginName" = "AGXMetalG15X_C0"
    }}
"""

    def _battery(self) -> str:
        first = f"Now drawing from '{self.battery}'"
        if not self.portable:
            return first
        state = "charged; 0:00 remaining" if self.battery == "AC Power" else "discharging; 5:12 remaining"
        return f"{first}\n -InternalBattery-0 (id=23789667)\t93%; {state} present: true"

    def _settings(self) -> str:
        low = f" lowpowermode         {self.low_power}\n" if self.portable else ""
        return (
            "System-wide power settings:\nCurrently in use:\n standby              1\n"
            " hibernatemode        3\n powernap             1\n displaysleep         10\n"
            f" sleep                1 (sleep prevented by powerd)\n{low} tcpkeepalive         1\n"
        )

    def _displays(self) -> str:
        return (
            f"Graphics/Displays:\n\n    {self.chip}:\n\n      Chipset Model: {self.chip}\n      Type: GPU\n"
            f"      Bus: Built-In\n      Total Number of Cores: {self.gpu}\n      Vendor: Apple (0x106b)\n"
            "      Metal Support: Metal 4\n"
        )

    def _developer(self) -> dict[str, str]:
        """The developer tools: those of Xcode, of the Command Line Tools alone, or none."""
        if self.xcode == "none":
            return {}
        folder = FOLDERS[self.xcode]
        told = {"xcode-select -p": folder, "swift --version": SWIFT, "swift build": "Build complete! (4.31s)"}
        if self.xcode == "Xcode":
            told["xcrun --find xctest"] = f"{folder}/usr/bin/xctest"
            told["swift build --build-tests"] = "Build complete! (9.80s)"
        return told


NOT_RECORDED = """\
Note: No thermal warning level has been recorded
Note: No performance warning level has been recorded
Note: No CPU power status has been recorded"""
THERMAL = "com.apple.system.thermalpressurelevel"
SWIFT = """\
Apple Swift version 6.2 (swiftlang-6.2.0.19.9 clang-1700.3.19.1)
Target: arm64-apple-macosx26.0"""
VM_STAT = """\
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               10241.
Pages active:                            455107.
Pages inactive:                          447915.
Pages speculative:                         6311.
Pages throttled:                              0.
Pages wired down:                        211620.
"Translation faults":                1204821313.
Pages copy-on-write:                   41203911.
Pageins:                               13508771.
Pageouts:                                115390.
Swapins:                                   2048.
Swapouts:                                  4096."""

MACS = {
    "m1": Mac("Apple M1", 8, 16, 4, 4, macos="14.6.1"),
    "m3-max-30": Mac("Apple M3 Max", 30, 36, 10, 4, macos="15.1"),
    "m3-max-40": Mac("Apple M3 Max", 40, 64, 12, 4),
    "m4-mini": Mac("Apple M4", 10, 16, 4, 6, portable=False),
    "m5": Mac("Apple M5", 10, 24, 4, 6, macos="26.2"),
}
MACS |= {
    "m3-max-40-tools-alone": replace(MACS["m3-max-40"], xcode="Command Line Tools"),
    "m1-without-tools": replace(MACS["m1"], xcode="none"),
    "m1-on-battery": replace(MACS["m1"], battery="Battery Power", low_power=1, pressure=1),
    "m1-macos-13": replace(MACS["m1"], macos="13.7.1"),
    "m1-rosetta": replace(MACS["m1"], translated=1),
}


def install(machine: str, folder: Path) -> Path:
    """Write the tools of a machine into a folder for the front of PATH, and give the folder back."""
    told = MACS[machine].answers()
    folder.mkdir(parents=True, exist_ok=True)
    for tool in TOOLS:
        own = {command: text for command, text in told.items() if command.split()[0] == tool}
        failure = NO_XCTEST if tool == "swift" and own else FAILURES.get(tool, f"{tool}: unknown")
        (folder / tool).write_text(_script(tool, own, failure))
        (folder / tool).chmod(0o755)
    return folder


def _script(tool: str, told: dict[str, str], failure: str) -> str:
    """A script that prints what a tool prints; `swift build` may be told where, `caffeinate` runs one."""
    if tool == "caffeinate":
        return '#!/bin/sh\nshift\nexec "$@"\n'
    lines = ["#!/bin/sh", "asked=$*", 'asked="${asked%% --package-path*}"', 'case "$asked" in']
    for command, text in told.items():
        lines.append(f"{shlex.quote(command.partition(' ')[2])}) printf '%s\\n' {shlex.quote(text)};;")
    return "\n".join([*lines, f"*) printf '%s\\n' {shlex.quote(failure)} >&2; exit 1;;", "esac", ""])
