"use strict";
for (const player of document.querySelectorAll(".player")) {
  const { times, frames } = JSON.parse(player.querySelector("script").textContent);
  const image = player.querySelector("img"), range = player.querySelector("input"), clock = player.querySelector("output");
  const play = player.querySelector(".play"), speed = player.querySelector(".speed");
  const speeds = [1, 4, 10];
  let factor = 1, timer = 0;
  const show = i => {
    range.value = i;
    image.src = "data:image/jpeg;base64," + frames[i];
    clock.value = times[i].toFixed(1) + " s";
  };
  const halt = () => { clearTimeout(timer); timer = 0; play.textContent = "\u25B6"; play.ariaLabel = "play"; };
  const next = () => {
    const i = Number(range.value);
    if (i + 1 >= frames.length) return halt();
    timer = setTimeout(() => { show(i + 1); next(); }, Math.max(20, 1000 * (times[i + 1] - times[i]) / speeds[factor]));
  };
  play.addEventListener("click", () => {
    if (timer) return halt();
    if (Number(range.value) + 1 >= frames.length) show(0);
    play.textContent = "\u275A\u275A"; play.ariaLabel = "pause";
    next();
  });
  range.addEventListener("input", () => { halt(); show(Number(range.value)); });
  speed.addEventListener("click", () => { factor = (factor + 1) % speeds.length; speed.textContent = speeds[factor] + "\u00D7"; });
  show(0);
}
