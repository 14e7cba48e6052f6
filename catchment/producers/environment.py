"""The environment of a ping: the state of the machine, the build, its settings and add-ons, as telemetry v4 has it.

`environment` is what Firefox sends (some 3 to 6 KB), `small_environment` the part that the pipeline reads (1 KB).
"""

from __future__ import annotations

from typing import Any

from catchment.producers.client import Client

APPLICATION_ID = "{ec8030f7-c20a-464f-9b0e-13a3a9e97384}"
_SYSTEM_ADDONS = (
    ("formautofill@mozilla.org", "Form Autofill", "1.0.1"),
    ("pictureinpicture@mozilla.org", "Picture-In-Picture", "1.0.0"),
    ("webcompat@mozilla.org", "Web Compatibility Interventions", "159.2.0"),
    ("newtab@mozilla.org", "New Tab", "159.1.0"),
)
ADDONS = tuple((f"addon-{number}@example.org", f"Example add-on {number}", f"{number}.4.1") for number in range(14))
"""Add-ons that a person installed; the names are made up."""
_ENGINES = ("google-b-d", "google-b-d", "google-b-d", "bing", "ddg", "ecosia")
_EXTENSIONS = ["hasMMX", "hasSSE", "hasSSE2", "hasSSE3", "hasSSSE3", "hasSSE4_1", "hasSSE4_2", "hasAVX", "hasAVX2"]
_SCREENS = ((1366, 768), (1536, 864), (1920, 1080), (1920, 1080), (2560, 1440), (3840, 2160))
_GRAPHICS = (
    ("0x8086", "0x9a49", "Intel(R) Iris(R) Xe Graphics"),
    ("0x10de", "0x1f82", "NVIDIA GeForce GTX 1650"),
    ("0x1002", "0x1638", "AMD Radeon(TM) Graphics"),
)
_NO_DISK = {"model": None, "revision": None, "type": None}


def application(client: Client) -> dict[str, Any]:
    """The build, as each ping repeats it."""
    build = client.build
    return {
        "architecture": "x86-64" if client.system.abi.startswith("x86_64") else "aarch64",
        "buildId": build.number,
        "name": "Firefox",
        "version": build.version,
        "displayVersion": build.display,
        "vendor": "Mozilla",
        "platformVersion": build.version,
        "xpcomAbi": client.system.abi,
        "channel": build.channel,
    }


def small_environment(client: Client, today: int) -> dict[str, Any]:
    """Build, operating system, locale and profile. `today` is in days since 1970-01-01."""
    return {
        "build": _build(client),
        "partner": {"distributionId": None, "partnerNames": []},
        "settings": {"locale": client.locale, "isDefaultBrowser": client.is_default},
        "system": {"memoryMB": client.memory_mb, "os": _os(client)},
        "profile": {"creationDate": today - client.age_days},
    }


def environment(client: Client, today: int) -> dict[str, Any]:
    """All of it. `today` is in days since 1970-01-01."""
    return {
        "build": _build(client),
        "partner": {
            "distributionId": None,
            "distributionVersion": None,
            "partnerId": None,
            "distributor": None,
            "distributorChannel": None,
            "partnerNames": [],
        },
        "system": _system(client),
        "settings": _settings(client),
        "profile": {"creationDate": today - client.age_days, "firstUseDate": today - client.age_days},
        "addons": _addons(client, today),
        "experiments": _experiments(client),
        "services": {"accountEnabled": client.number % 4 == 0, "syncEnabled": client.number % 5 == 0},
    }


def _build(client: Client) -> dict[str, Any]:
    found = {**application(client), "applicationId": APPLICATION_ID, "applicationName": "Firefox"}
    del found["name"], found["channel"]
    found["updaterAvailable"] = client.system.name != "Linux"
    return found


def _os(client: Client) -> dict[str, Any]:
    system = client.system
    found: dict[str, Any] = {"name": system.name, "version": system.version, "locale": client.locale}
    if system.name == "Windows_NT":
        found |= {"servicePackMajor": 0, "servicePackMinor": 0, "windowsBuildNumber": int(system.build)}
    return found


def _system(client: Client) -> dict[str, Any]:
    vendor, device, description = _GRAPHICS[client.number % len(_GRAPHICS)]
    width, height = _SCREENS[client.number % len(_SCREENS)]
    is_windows = client.system.name == "Windows_NT"
    found: dict[str, Any] = {
        "memoryMB": client.memory_mb,
        "virtualMaxMB": 134_217_728 if is_windows else None,
        "cpu": {
            "count": client.cores,
            "cores": max(client.cores // 2, 1),
            "vendor": "GenuineIntel" if client.number % 3 else "AuthenticAMD",
            "name": None,
            "family": 6,
            "model": 140,
            "stepping": 1,
            "l2cacheKB": 1280,
            "l3cacheKB": 12_288,
            "speedMHz": 2419,
            "extensions": _EXTENSIONS,
        },
        "os": _os(client),
        "hdd": {"profile": _NO_DISK, "binary": _NO_DISK, "system": _NO_DISK},
        "gfx": {
            "D2DEnabled": is_windows or None,
            "DWriteEnabled": is_windows or None,
            "ContentBackend": "Skia",
            "Headless": False,
            "adapters": [
                {
                    "description": description,
                    "vendorID": vendor,
                    "deviceID": device,
                    "subsysID": None,
                    "RAM": None,
                    "driver": None,
                    "driverVendor": None,
                    "driverVersion": "31.0.101.2125",
                    "driverDate": "5-11-2026",
                    "GPUActive": True,
                }
            ],
            "monitors": [{"screenWidth": width, "screenHeight": height}],
            "features": {"compositor": "webrender", "gpuProcess": {"status": "available"}},
        },
        "appleModelId": "MacBookPro18,3" if client.system.name == "Darwin" else None,
    }
    if is_windows:
        found["isWow64"] = False
    return found


def _settings(client: Client) -> dict[str, Any]:
    engine = _ENGINES[client.number % len(_ENGINES)]
    locales = [client.locale]
    return {
        "blocklistEnabled": True,
        "e10sEnabled": True,
        "e10sMultiProcesses": 8,
        "fissionEnabled": True,
        "telemetryEnabled": client.build.channel != "release",
        "locale": client.locale,
        "intl": {
            "requestedLocales": locales,
            "availableLocales": sorted({client.locale, "en-US"}),
            "appLocales": sorted({client.locale, "en-US"}),
            "systemLocales": locales,
            "regionalPrefsLocales": locales,
            "acceptLanguages": [*locales, "en"],
        },
        "update": {"channel": client.build.channel, "enabled": True, "autoDownload": True, "background": True},
        "userPrefs": {
            "browser.startup.page": 3 if client.number % 3 == 0 else 1,
            "browser.urlbar.autoFill": True,
            "browser.urlbar.suggest.searches": client.number % 7 != 0,
            "network.trr.strict_native_fallback": False,
        },
        "sandbox": {"effectiveContentProcessLevel": 6, "contentWin32kLockdownState": 3},
        "addonCompatibilityCheckEnabled": True,
        "isDefaultBrowser": client.is_default,
        "defaultSearchEngine": engine,
        "defaultSearchEngineData": {"loadPath": f"[app]{engine}", "name": engine, "origin": "default"},
    }


def _addons(client: Client, today: int) -> dict[str, Any]:
    installed = {}
    for name, title, version in (*_SYSTEM_ADDONS, *(ADDONS[index] for index in client.addons)):
        is_system = name.endswith("mozilla.org")
        day = today - (client.age_days if is_system else client.age_days // 2)
        installed[name] = {
            "version": version,
            "scope": 4 if is_system else 1,
            "type": "extension",
            "updateDay": day,
            "isSystem": is_system,
            "isWebExtension": True,
            "multiprocessCompatible": True,
            "blocklisted": False,
            "name": title,
            "userDisabled": False,
            "appDisabled": False,
            "foreignInstall": False,
            "hasBinaryComponents": False,
            "installDay": day,
            "signedState": 3 if is_system else 2,
        }
    theme = {"id": "default-theme@mozilla.org", "name": "System theme — auto", "version": "1.4.2", "scope": 4}
    plugins = {"gmp-gmpopenh264": {"version": "2.6.0", "userDisabled": False, "applyBackgroundUpdates": 1}}
    return {"activeAddons": installed, "theme": theme, "activeGMPlugins": plugins}


def _experiments(client: Client) -> dict[str, Any]:
    if client.number % 4:
        return {}
    branch = "control" if client.number % 8 else "treatment"
    return {"example-rollout-159": {"branch": branch, "type": "nimbus-rollout"}}
