// Preferences of the acceptance test's Firefox: full telemetry, quickly, to the platform under test only.
// @PORT@ is replaced by the port of the edge. The server is a name, so that the Host header holds no address.

// Where pings go: "telemetry" pings to a server, Glean pings to a port of this machine.
user_pref("toolkit.telemetry.server", "http://localhost:@PORT@");
user_pref("toolkit.telemetry.server_owner", "Catchment");
user_pref("telemetry.fog.test.localhost_port", @PORT@);

// A build that is not Mozilla's own sends only when told so, and a new profile only after its user was asked.
user_pref("toolkit.telemetry.send.overrideOfficialCheck", true);
user_pref("toolkit.telemetry.unified", true);
user_pref("toolkit.telemetry.enabled", true);
user_pref("datareporting.healthreport.uploadEnabled", true);
user_pref("datareporting.policy.dataSubmissionEnabled", true);
user_pref("datareporting.policy.dataSubmissionPolicyBypassNotification", true);

// Soon: start after 1 s, announce the profile after 2 s, and let pingsender deliver the shutdown's pings.
user_pref("toolkit.telemetry.initDelay", 1);
user_pref("toolkit.telemetry.minSubsessionLength", 0);
user_pref("toolkit.telemetry.newProfilePing.delay", 2);
user_pref("toolkit.telemetry.firstShutdownPing.enabled", true);
user_pref("toolkit.telemetry.shutdownPingSender.enabled", true);
user_pref("toolkit.telemetry.shutdownPingSender.enabledFirstSession", true);

// Marionette is only how the test quits the browser in an orderly way: any free port, no preferences of its own.
user_pref("marionette.port", 0);
user_pref("remote.prefs.recommended", false);

// Nothing else leaves the machine.
user_pref("app.update.enabled", false);
user_pref("app.normandy.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
