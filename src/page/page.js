// The page: shows what the program sends, sends what a person presses. No library, nothing from elsewhere.
"use strict";

const $ = (id) => document.getElementById(id);
const SILENT_MS = 2000; // Without a state for this long the connection counts as lost.
const PHASES = {
  idle: "Idle", approaching: "The arm goes to its start", waiting: "Waiting for Begin",
  failed: "The arm failed: waiting for Recover",
  running: "Running, recorded", judging: "Waiting for a verdict",
};
// When a button means something; the program refuses what it does not want anyway.
const MEANT = {
  begin: ["waiting"], recover: ["failed"], accept: ["running", "judging"], reject: ["running", "judging"],
  abort: ["waiting", "running", "judging"],
};
// The same of a run that can change hands, by who drives it.
const HANDS = { pause: ["policy", "operator"], resume: ["paused"], take_over: ["policy", "paused"], hand_back: ["operator"] };
const DRIVER = { policy: "the policy drives", paused: "paused, the arm holds", operator: "the operator drives" };
const ACTION = [
  ["dx", "m", 0.05], ["dy", "m", 0.05], ["dz", "m", 0.05],
  ["droll", "rad", 0.25], ["dpitch", "rad", 0.25], ["dyaw", "rad", 0.25], ["gripper", "", 1],
];
const COLORS = ["#d1495b", "#3a9d5d", "#3b7dd8", "#c98a1b", "#8a5bc7", "#2aa5a0", "#8b8f96"];

let socket = null, state = null, view = null, heardAt = 0, retryMs = 300, gone = true, was = "";
let stopAsked = 0;

// The token came in the address and is kept in a cookie: it need not be seen over a shoulder or in a bookmark.
if (location.search.includes("token=")) history.replaceState(null, "", location.pathname);

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
function put(id, text) { const at = $(id); if (at.textContent !== text) at.textContent = text; }
function show(id, shown) { $(id).hidden = !shown; }
const signed = (value, digits) => value == null ? "–" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
const ms = (value) => value == null ? "–" : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// ---- connection

function connect() {
  heardAt = performance.now();
  socket = new WebSocket((location.protocol === "https:" ? "wss://" : "ws://") + location.host + "/live");
  socket.binaryType = "arraybuffer";
  const mine = socket;
  socket.onmessage = (event) => {
    if (mine !== socket) return;
    if (typeof event.data === "string") receive(JSON.parse(event.data));
    else picture(new Uint8Array(event.data));
  };
  socket.onclose = () => { if (mine === socket) lose(); };
}
function lose() {
  if (socket) { const old = socket; socket = null; old.onmessage = old.onclose = null; old.close(); }
  connection(true);
  // Each start of the program makes another token; the one kept here is then no longer right.
  fetch("/", { method: "HEAD" }).then((answer) => show("lost-token", answer.status === 401)).catch(() => show("lost-token", false));
  setTimeout(() => { if (!socket) connect(); }, retryMs);
  retryMs = Math.min(retryMs * 1.6, 3000);
}
function connection(lost) {
  gone = lost;
  document.body.classList.toggle("connecting", false);
  document.body.classList.toggle("gone", lost);
  if ($("lost").hidden === lost) $("lost").hidden = !lost;
  if (lost) { put("phase-word", "Connection lost"); put("phase-count", ""); $("phase").className = "chip"; pressed.clear(); }
  enable();
}
setInterval(() => {
  if (socket && performance.now() - heardAt > SILENT_MS) lose();
  if (stopAsked && performance.now() - stopAsked > 1500) {
    stopAsked = 0;
    notice("STOP got no answer: use the emergency stop on the robot.", true);
  }
}, 250);

function send(message) {
  if (socket && socket.readyState === WebSocket.OPEN) { socket.send(JSON.stringify(message)); return true; }
  return false;
}
function receive(message) {
  if (message.state) {
    heardAt = performance.now();
    retryMs = 300;
    state = message.state;
    view = message.view;
    send({ heartbeat: view.sequence });
    if (gone) connection(false);
    draw();
  } else if (message.stopped) {
    stopped();
  } else if (message.refused) {
    notice("Not done: " + message.refused + ".", true);
  } else if (message.notice) {
    notice(message.notice, true);
  } else if (message.accepted) {
    notice("Sent: " + message.accepted + ".", false);
  }
}
let noticeTimer = 0;
function notice(words, lasting) {
  put("notice", words);
  show("notice", true);
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => show("notice", false), lasting ? 9000 : 2200);
}

// ---- buttons

function stop() {
  // Two ways, because it must arrive: either alone will do.
  stopAsked = performance.now();
  send({ stop: true });
  fetch("/stop", { method: "POST", keepalive: true }).then((answer) => { if (answer.ok) stopped(); }).catch(() => {});
  $("stop").classList.add("sent");
  setTimeout(() => $("stop").classList.remove("sent"), 400);
}
function stopped() {
  stopAsked = 0;
  notice("Stop was called: the arm holds.", true);
}
function enable() {
  const phase = state ? state.panel.phase : "idle";
  const may = !gone && view && view.controls !== "another";
  for (const button of document.querySelectorAll("[data-wish]")) {
    const when = MEANT[button.dataset.wish];
    button.disabled = !(may && (!when || when.includes(phase)));
    // Shown only when it has an effect, so that it is not pressed by habit.
    if (button.dataset.wish === "recover") button.hidden = phase !== "failed";
    const hands = HANDS[button.dataset.wish];
    if (hands) {
      const needs = button.dataset.wish === "take_over" || button.dataset.wish === "hand_back";
      button.hidden = !state || !hands.includes(state.panel.driving) || needs && !state.panel.may_take_over;
    }
    button.title = view && view.controls === "another" ? "Another browser has the controls" : "";
  }
  $("take").disabled = gone;
  $("keys").disabled = gone || !view || view.controls !== "yours";
}
function press(name) {
  const button = document.querySelector(`[data-wish="${name}"]`);
  if (!button || button.disabled || button.hidden || $("ask").open) return;
  if (name === "note") return note(true);
  if (name === "recover") return ask("Let the arm recover? Its faults are cleared and it holds where it is; it goes nowhere. Stand clear of it.", () => send({ wish: "recover" }));
  if (name === "quit") return ask("End the session? No more episodes are run; the arm holds.", () => send({ wish: "quit" }));
  send({ wish: name });
}
function take() {
  if (gone || !view || $("ask").open) return;
  if (view.controls === "yours") return send({ controls: "give_back" });
  if (view.controls === "free") return send({ controls: "take" });
  ask("Another browser has the controls. Take them over? It is told, and can press nothing but Stop.",
    () => send({ controls: "take_over" }));
}
let asked = null;
function ask(words, then) {
  asked = then;
  put("ask-words", words);
  $("ask").showModal();
  $("ask-no").focus();
}
$("ask-yes").onclick = () => { $("ask").close(); if (asked) asked(); asked = null; };
$("ask-no").onclick = () => $("ask").close();
function note(open) {
  show("note-form", open);
  if (open) $("note-text").focus({ preventScroll: true }); else $("note-text").blur();
}
$("note-form").onsubmit = (event) => {
  event.preventDefault();
  const text = $("note-text").value.trim();
  if (!text || send({ wish: "note", text })) { $("note-text").value = ""; note(false); }
};
$("stop").onclick = stop;
$("take").onclick = take;
$("keys").onclick = () => driving(!keyboard);
for (const button of document.querySelectorAll("[data-wish]")) button.onclick = () => press(button.dataset.wish);

// Nothing runs that could be stopped; not so while nothing is known yet.
const playbackOnly = () => state && !state.live && state.panel.phase === "idle";
const typing = () => document.activeElement && document.activeElement.matches("input[type=text]");
addEventListener("keydown", (event) => {
  if (typing()) { if (event.key === "Escape") note(false); return; }
  if (playbackOnly()) return; // Space plays, as on any button.
  if (event.code === "Space" && !event.ctrlKey && !event.altKey && !event.metaKey) {
    event.preventDefault();
    if (!event.repeat) stop();
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || $("ask").open) return;
  if (keyboard && event.code in DRIVING) { event.preventDefault(); pressed.add(event.code); return; }
  if (event.repeat) return;
  const key = event.key.toLowerCase();
  if (key === "q" && event.shiftKey) press("quit");
  else if (event.shiftKey) return;
  else if (key === "b") press("begin");
  else if (key === "c") press("recover");
  else if (key === "y") press("accept");
  else if (key === "n") press("reject");
  else if (key === "backspace") press("abort");
  else if (key === "m") press("note");
  else if (key === "p") press(state && state.panel.driving === "paused" ? "resume" : "pause");
  else if (key === "o") press(state && state.panel.driving === "operator" ? "hand_back" : "take_over");
  else if (key === "t") take();
  else if (key === "k" && !$("keys").disabled && !$("drive").hidden) driving(!keyboard);
  else return;
  event.preventDefault();
}, true);
addEventListener("keyup", (event) => {
  pressed.delete(event.code);
  // Space on a button with the focus would press that button too.
  if (event.code === "Space" && !typing() && !playbackOnly()) event.preventDefault();
}, true);

// ---- driving

const DRIVING = {
  KeyA: ["axis", 0, -1], KeyD: ["axis", 0, 1], KeyW: ["axis", 1, -1], KeyS: ["axis", 1, 1],
  ArrowLeft: ["axis", 2, -1], ArrowRight: ["axis", 2, 1], ArrowUp: ["axis", 3, -1], ArrowDown: ["axis", 3, 1],
  Digit1: ["button", 0], Digit2: ["button", 1], Digit3: ["button", 2], Digit4: ["button", 3],
  KeyE: ["button", 4], KeyF: ["button", 5], KeyR: ["button", 6], KeyV: ["button", 7],
};
const pressed = new Set();
let keyboard = false, gamepadSequence = 0, gamepadSentAt = 0, drove = false;

function driving(on) {
  keyboard = on;
  pressed.clear();
  $("keys").setAttribute("aria-pressed", String(on));
  put("keys-label", on ? "Stop driving with the keyboard" : "Drive with the keyboard");
  show("keys-help", on);
}
// Only of the "standard" mapping is it known which number is a trigger.
function connectedPad() { return [...navigator.getGamepads()].find((pad) => pad && pad.connected && pad.mapping === "standard"); }
function gamepad() {
  if (keyboard) {
    const axes = [0, 0, 0, 0], buttons = Array(16).fill(false);
    for (const code of pressed) {
      const [kind, at, by] = DRIVING[code];
      if (kind === "axis") axes[at] += by; else buttons[at] = true;
    }
    return { axes, buttons };
  }
  const found = connectedPad();
  return found && { axes: [...found.axes].slice(0, 16), buttons: found.buttons.slice(0, 64).map((button) => button.pressed) };
}
// Frames come only while the page is visible: a hidden page drives nothing.
function drive(now) {
  requestAnimationFrame(drive);
  if (now - gamepadSentAt < 18) return;
  gamepadSentAt = now;
  const wanted = !gone && view && view.controls === "yours" && state && state.panel.device !== "" && !document.hidden;
  const pad = wanted && gamepad();
  if (pad) { send({ gamepad: { ...pad, sequence: ++gamepadSequence } }); drove = true; }
}
function release() {
  pressed.clear();
  if (drove) { drove = false; send({ gamepad: { axes: [0, 0, 0, 0], buttons: Array(16).fill(false), sequence: ++gamepadSequence } }); }
}
addEventListener("blur", release);
document.addEventListener("visibilitychange", () => { if (document.hidden) release(); });
for (const kind of ["gamepadconnected", "gamepaddisconnected"]) {
  addEventListener(kind, () => {
    const found = connectedPad(), unknown = [...navigator.getGamepads()].find((pad) => pad && pad.connected);
    put("gamepad-words", found ? "Gamepad: " + found.id : unknown
      ? "Gamepad not used, this browser does not know its layout: " + unknown.id + ". Try another browser, its Xbox mode or the keyboard."
      : "No gamepad seen: press a button on it.");
  });
}

// ---- drawing the state

function draw() {
  const { panel, episode } = state;
  const busy = panel.phase !== "idle";
  show("live", state.live || busy);
  show("buttons", state.live || busy);
  put("task", panel.task || (state.live ? "visuomotor" : "Recorded episodes"));
  const who = [panel.action_source, episode && episode.robot, episode && episode.name];
  put("who", who.filter(Boolean).join(" · "));
  document.title = (panel.phase === "running" ? "● " : "") + (panel.task || "visuomotor");
  const phase = PHASES[panel.phase], running = panel.phase === "running";
  // Apart from the word, so that a screen reader does not read every step.
  let count = running && episode ? ` · ${episode.seconds.toFixed(0)} s · step ${episode.steps}` : "";
  if (running && panel.driving) count += " · " + DRIVER[panel.driving];
  if (running && state.age_seconds > 1) count += ` · nothing new for ${state.age_seconds.toFixed(0)} s`;
  put("phase-word", state.live || busy ? phase : "Playback");
  put("phase-count", count);
  $("phase").className = "chip " + panel.phase;
  show("episodes-count", panel.episodes[1] > 0);
  put("kept", String(panel.episodes[0]));
  put("planned", String(panel.episodes[1]));
  put("warning", panel.warning);
  show("warning", panel.warning !== "");
  controls();
  enable();
  if (was === "running" && panel.phase !== "running" || was === "judging" && panel.phase !== "judging") list(0);
  was = panel.phase;
  show("playback", state.playback);
  if (!state.live && !busy) return;
  put("prompt", panel.prompt || phase + ".");
  put("instruction", panel.instruction);
  cameras();
  safety();
  actions();
  joints();
  gauges();
  curve();
  show("drive", panel.device !== "");
  put("device", panel.device);
}
function controls() {
  const words = { yours: "You have the controls", free: "No browser has the controls", another: "Another browser has the controls" };
  const labels = { yours: "Give back", free: "Take the controls", another: "Take over …" };
  $("controls").className = "controls " + view.controls;
  show("controls", !$("buttons").hidden);
  put("controls-words", words[view.controls]);
  put("watching", view.browsers > 1 ? `${view.browsers} watch` : "");
  put("take-label", labels[view.controls]);
  if (view.controls !== "yours" && keyboard) driving(false);
}

const figures = [];
function cameras() {
  if (!state.cameras.length) return;
  if (!figures.length) $("cameras").textContent = "";
  while (figures.length < state.cameras.length) figures.push(figure($("cameras")));
  state.cameras.forEach((camera, i) => {
    const { root, name, about } = figures[i];
    const old = camera.age_seconds > 1.5;
    root.classList.toggle("old", old);
    name.textContent = camera.name;
    about.textContent = old ? `no new picture for ${camera.age_seconds.toFixed(0)} s`
      : `${camera.width} × ${camera.height}` + (camera.dropped ? ` · ${camera.dropped} not shown` : "");
  });
}
function figure(parent) {
  const root = element("figure"), canvas = element("canvas"), caption = element("figcaption");
  const name = element("b"), about = element("span");
  canvas.width = 640; canvas.height = 480;
  canvas.setAttribute("role", "img");
  caption.append(name, about);
  root.append(canvas, caption);
  parent.append(root);
  return { root, canvas, name, about, busy: false };
}
async function picture(bytes) {
  const shown = figures[bytes[0]];
  if (!shown || shown.busy) return;
  shown.busy = true; // One at a time, so that pictures never overtake each other.
  try { paint(shown.canvas, await createImageBitmap(new Blob([bytes.subarray(1)], { type: "image/jpeg" }))); }
  catch { /* A picture that cannot be decoded is followed by the next. */ }
  shown.canvas.setAttribute("aria-label", "Camera " + shown.name.textContent);
  shown.busy = false;
}
function paint(canvas, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) { canvas.width = image.width; canvas.height = image.height; }
  canvas.getContext("2d").drawImage(image, 0, 0);
}

function safety() {
  const { word, text, limited, stopped } = state.safety;
  const titles = { none: "No commands", passed: "Passed", limited: "Limited", stopped: "STOPPED" };
  $("safety").className = "panel safety " + word;
  put("safety-word", titles[word]);
  put("safety-text", text);
  put("safety-tally", limited || stopped ? `${limited} ticks limited, ${stopped} held` : "");
}

function rows(parent, count, kinds) {
  const at = $(parent);
  while (at.children.length > count) at.lastChild.remove();
  while (at.children.length < count) {
    const row = element("div", "row"), bar = element("span", "bar");
    row.parts = { name: element("span", "name"), bar, one: element("span", "number"), two: element("span", "number second") };
    for (const kind of kinds) { row.parts[kind] = element("i", kind); bar.append(row.parts[kind]); }
    row.append(row.parts.name, bar, row.parts.one, row.parts.two);
    at.append(row);
  }
  return [...at.children].map((row) => row.parts);
}
function place(mark, from, to) {
  mark.style.left = Math.max(0, Math.min(from, to)) * 100 + "%";
  mark.style.width = Math.min(1, Math.abs(to - from)) * 100 + "%";
}
function actions() {
  rows("actions", 7, ["zero", "fill", "hollow"]).forEach((row, i) => {
    const [name, unit, scale] = ACTION[i], middle = i === 6 ? 0 : 0.5;
    const share = (value) => Math.min(1, Math.max(0, middle + value / scale * (1 - middle)));
    const asked = state.asked && state.asked[i], force = state.in_force && state.in_force[i];
    row.name.textContent = unit ? `${name} [${unit}]` : name;
    row.zero.hidden = i === 6;
    row.fill.hidden = force == null;
    row.hollow.hidden = asked == null;
    if (force != null) place(row.fill, middle, share(force));
    if (asked != null) place(row.hollow, middle, share(asked));
    row.one.textContent = signed(asked, 3);
    row.two.textContent = signed(force, 3);
  });
}
function joints() {
  const position = state.mode === "position" || state.mode === null;
  const list = state.joints.map((joint) => ({ ...joint, low: joint.low ?? -Math.PI, high: joint.high ?? Math.PI, position }));
  const [measured, wished, sent] = state.gripper;
  if (measured != null) list.push({ name: "gripper", measured, wished, sent, low: 0, high: 1, position: true, fraction: true });
  rows("joints", list.length, ["dot", "tick wished", "tick"]).forEach((row, i) => {
    const joint = list[i], span = joint.high - joint.low;
    const share = (value) => Math.min(1, Math.max(0, (value - joint.low) / span)) * 100 + "%";
    const edge = !joint.fraction && Math.min(joint.measured - joint.low, joint.high - joint.measured) < 0.03 * span;
    row.name.textContent = joint.name || "joint " + (i + 1);
    row.bar.classList.toggle("edge", edge);
    row.bar.title = `${joint.low.toFixed(2)} … ${joint.high.toFixed(2)}`;
    row.dot.style.left = share(joint.measured);
    for (const [mark, value] of [["tick wished", joint.wished], ["tick", joint.sent]]) {
      row[mark].hidden = value == null || !joint.position;
      if (value != null) row[mark].style.left = share(value);
    }
    row.one.textContent = signed(joint.measured, joint.fraction ? 2 : 3);
    row.two.textContent = signed(joint.sent, joint.fraction ? 2 : 3);
  });
  const units = { position: "rad", velocity: "rad/s", torque: "Nm" };
  $("joints-legend").title = `measured in rad, sent in ${units[state.mode] || "rad"}`;
}
function gauges() {
  const body = $("gauges");
  state.gauges.forEach((gauge, i) => {
    let row = body.children[i];
    if (!row) {
      row = element("tr");
      for (let cell = 0; cell < 6; cell++) row.append(element("td"));
      row.cells[5].className = "wide";
      row.bar = element("div", "bar");
      row.fill = element("i", "fill");
      row.note = element("span", "note");
      row.bar.append(row.fill);
      row.cells[5].append(row.bar, row.note);
      body.append(row);
    }
    const none = gauge.count === 0;
    row.cells[0].textContent = gauge.name;
    [gauge.latest_ms, gauge.p50_ms, gauge.p99_ms, gauge.max_ms].forEach((value, cell) => {
      row.cells[cell + 1].textContent = none ? "–" : ms(value);
    });
    row.bar.hidden = gauge.limit_ms == null;
    row.note.hidden = gauge.limit_ms != null;
    row.note.textContent = "no deadline of its own";
    if (gauge.limit_ms != null) {
      const used = none ? 0 : gauge.p99_ms / gauge.limit_ms;
      place(row.fill, 0, Math.min(1, used));
      row.bar.classList.toggle("late", used > 1);
      row.bar.title = `p99 is ${(used * 100).toFixed(0)} % of ${ms(gauge.limit_ms)} ms`;
    }
    row.classList.toggle("late", gauge.over > 0);
  });
  const over = state.gauges.reduce((sum, gauge) => sum + gauge.over, 0);
  put("timing-note", over ? `${over} over their deadline` : "none over its deadline");
}

let points = [], generation = -1;
function curve() {
  if (view.curve.generation !== generation) { points = []; generation = view.curve.generation; }
  points.length = Math.min(points.length, view.curve.from);
  points.push(...view.curve.points);
  const last = points[points.length - 1];
  put("curve-now", last ? `${last[1].toPrecision(3)} after ${last[0].toFixed(1)} s` : "no distance is measured");
  show("curve", points.length > 0);
  if (last) plot($("curve"), [points], [css("--accent")], null, null);
}
// Lines over a common time; a cursor and a range of values where they are given.
function plot(canvas, lines, colors, cursor, range) {
  const scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const all = lines.flat();
  const left = 34, right = width - 6, top = 6, bottom = height - 16;
  pen.font = "10px system-ui, sans-serif";
  pen.strokeStyle = css("--line");
  pen.fillStyle = css("--muted");
  let end = 1, low = 0, high = 1;
  if (all.length) {
    end = Math.max(1, ...lines.map((line) => line.length ? line[line.length - 1][0] : 0));
    low = Math.min(...all.map((point) => point[1])); high = Math.max(...all.map((point) => point[1]));
    if (range) [low, high] = range;
    if (high - low < 1e-9) { low -= 0.5; high += 0.5; }
  }
  const x = (seconds) => left + (right - left) * seconds / end;
  const y = (value) => bottom - (bottom - top) * (value - low) / (high - low);
  for (const value of [low, (low + high) / 2, high]) {
    pen.beginPath(); pen.moveTo(left, y(value)); pen.lineTo(right, y(value)); pen.stroke();
    pen.textAlign = "right";
    if (all.length) pen.fillText(value.toPrecision(2), left - 5, y(value) + 3);
  }
  pen.textAlign = "left"; pen.fillText("0 s", left, height - 4);
  pen.textAlign = "right"; pen.fillText(end.toFixed(0) + " s", right, height - 4);
  pen.lineWidth = 1.8; pen.lineJoin = "round";
  lines.forEach((line, i) => {
    pen.strokeStyle = colors[i];
    pen.beginPath();
    line.forEach(([seconds, value], at) => at ? pen.lineTo(x(seconds), y(value)) : pen.moveTo(x(seconds), y(value)));
    pen.stroke();
  });
  pen.lineWidth = 1;
  if (cursor != null) {
    pen.strokeStyle = css("--ink");
    pen.beginPath(); pen.moveTo(x(cursor), top); pen.lineTo(x(cursor), bottom); pen.stroke();
  }
}

// ---- recorded episodes

const PAGE = 20;
let listFrom = 0, listText = "", played = null, step = 0, timer = 0, shownPictures = new Map(), playedFigures = [];

async function list(from) {
  if (!state || !state.playback) return;
  const answer = await fetch("/episodes?from=" + from).catch(() => null);
  if (!answer || !answer.ok) { put("list-note", answer ? await answer.text() : "not reachable"); return; }
  const text = await answer.text();
  if (text === listText) return; // The focus stays where it is.
  listText = text;
  const found = JSON.parse(text);
  listFrom = found.from;
  const last = found.from + found.episodes.length;
  put("list-note", found.total ? `${found.from + 1}–${last} of ${found.total}, newest first` : "none yet");
  $("newer").disabled = found.from === 0;
  $("older").disabled = last >= found.total;
  $("episodes").replaceChildren(...found.episodes.map(line));
}
function line(row) {
  const item = element("li"), button = element("button");
  const word = row.outcome ? row.outcome.outcome : row.partial ? "cut off" : "no outcome";
  const facts = [row.task, `${row.steps} steps`];
  if (row.seconds != null) facts.push(row.seconds.toFixed(1) + " s");
  if (row.written) facts.push(new Date(row.written * 1000).toLocaleString());
  if (row.outcome && row.outcome.why) facts.push(row.outcome.why);
  if (row.trouble) facts.push(row.trouble);
  button.type = "button";
  button.append(element("b", "", row.name.replace(/\.mcap(\.partial)?$/, "")), element("span", "chip " + word, word));
  button.append(element("small", "", facts.filter(Boolean).join(" · ")));
  button.onclick = () => open(row.name, button);
  if (played && played.name === row.name) button.setAttribute("aria-current", "true");
  item.append(button);
  return item;
}
async function open(name, button) {
  pause();
  const answer = await fetch("/episodes/" + encodeURIComponent(name)).catch(() => null);
  if (!answer || !answer.ok) { notice(answer ? await answer.text() : "The episode is not reachable.", true); return; }
  played = await answer.json();
  step = 0;
  shownPictures = new Map();
  for (const other of $("episodes").querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
  if (button) button.setAttribute("aria-current", "true");
  show("player", true);
  put("played-name", name);
  const facts = [played.task, played.robot, played.outcome && played.outcome.outcome, played.lost];
  put("played-words", facts.filter(Boolean).join(" · "));
  $("played-cameras").textContent = "";
  playedFigures = played.cameras.map((camera) => {
    const made = figure($("played-cameras"));
    made.name.textContent = camera;
    return made;
  });
  $("seek").max = String(Math.max(0, played.steps.length - 1));
  $("played-legend").replaceChildren(...ACTION.flatMap(([label], i) => {
    const mark = element("i");
    mark.style.background = COLORS[i];
    return [mark, document.createTextNode(label)];
  }));
  await seek(0);
}
function fetchPictures(at) {
  if (!shownPictures.has(at)) {
    const episode = encodeURIComponent(played.name);
    shownPictures.set(at, Promise.all(played.cameras.map((_, camera) =>
      fetch(`/episodes/${episode}/${camera}/${at}`).then((answer) => answer.ok ? answer.blob() : null)
        .then((blob) => blob && createImageBitmap(blob)).catch(() => null))));
    if (shownPictures.size > 40) shownPictures.delete(shownPictures.keys().next().value);
  }
  return shownPictures.get(at);
}
function drawPlayed() {
  if (!played || !played.steps.length) return;
  // Each row over the bounds of its own kind, so that metres and radians share a picture.
  const lines = ACTION.map(([, , scale], i) => played.steps.map((each) => [each.seconds, each.action[i] / scale]));
  plot($("played-plot"), lines, COLORS, played.steps[step].seconds, [-1, 1]);
}
addEventListener("resize", drawPlayed);
async function seek(to) {
  const episode = played;
  if (!episode || !episode.steps.length) return;
  step = Math.max(0, Math.min(to, episode.steps.length - 1));
  const here = step;
  for (let ahead = 1; ahead < 6 && here + ahead < episode.steps.length; ahead++) fetchPictures(here + ahead);
  const images = await fetchPictures(here);
  if (played !== episode || step !== here) return;
  images.forEach((image, i) => { if (image) paint(playedFigures[i].canvas, image); });
  const { seconds, gripper, decided_by: decider } = episode.steps[here];
  $("seek").value = String(here);
  put("played-time", `step ${here + 1} of ${episode.steps.length} · ${seconds.toFixed(1)} s`);
  playedFigures.forEach((made) => { made.about.textContent = `gripper ${gripper.toFixed(2)}` + (decider ? ` · the ${decider} decided` : ""); });
  drawPlayed();
}
function pause() { clearTimeout(timer); timer = 0; put("play", "Play"); }
function play() {
  if (!played || !played.steps.length) return;
  if (timer) return pause();
  put("play", "Pause");
  const from = step >= played.steps.length - 1 ? 0 : step;
  const began = performance.now() - played.steps[from].seconds * 1000;
  const next = async () => {
    const seconds = (performance.now() - began) / 1000;
    let at = step;
    while (at + 1 < played.steps.length && played.steps[at + 1].seconds <= seconds) at++;
    await seek(at);
    if (!timer) return;
    if (at >= played.steps.length - 1) return pause();
    timer = setTimeout(next, 40);
  };
  step = from;
  timer = setTimeout(next, 0);
}
$("play").onclick = play;
$("seek").oninput = () => { pause(); seek(Number($("seek").value)); };
$("newer").onclick = () => list(Math.max(0, listFrom - PAGE));
$("older").onclick = () => list(listFrom + PAGE);
let listed = false;
setInterval(() => {
  if (state && state.playback && !gone && (!listed || listFrom === 0 && !document.hidden && !state.live)) { listed = true; list(listFrom); }
}, 3000);
setTimeout(function first() { if (state) { listed = true; list(0); } else setTimeout(first, 100); }, 100);

connect();
requestAnimationFrame(drive);
