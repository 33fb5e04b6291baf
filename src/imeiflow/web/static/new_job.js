// Giving a list: a file that is chosen or dropped, or what is pasted, goes to the server as it is; nothing is read here.
"use strict";

(() => {
  const form = document.getElementById("upload");
  for (const select of document.querySelectorAll("[data-submit]")) select.addEventListener("change", () => select.form.submit());
  if (!form) return;
  const drop = form.querySelector("[data-drop]");
  const input = document.getElementById("file");
  const nameLine = form.querySelector("[data-file-name]");
  const problem = form.querySelector("[data-problem]");
  const said = form.querySelector("[data-said]");
  const progress = form.querySelector("[data-progress]");
  const go = form.querySelector("[data-go]");
  const pasted = form.elements.pasted;
  let file = null;
  let service = null;

  const tell = () => {
    const hasList = file !== null || pasted.value.trim() !== "";
    said.textContent = !service ? "Choose a service first." : hasList ? service.name : "Choose, drop or paste a list.";
  };
  const take = (found) => {
    file = found || null;
    nameLine.hidden = file === null;
    nameLine.textContent = file ? `${file.name} (${Math.max(1, Math.round(file.size / 1024)).toLocaleString()} kB)` : "";
    problem.hidden = true;
    tell();
  };
  input.addEventListener("change", () => take(input.files[0]));
  pasted.addEventListener("input", tell);
  document.addEventListener("change", (event) => {
    if (event.target.name === "service") {
      service = { id: event.target.value, name: event.target.dataset.name };
      tell();
    }
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    for (const one of document.querySelectorAll("input[name=service]")) one.checked = one.value === service?.id;
  });
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("is-over");
    });
  }
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("is-over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });

  const fail = (text) => {
    problem.textContent = text;
    problem.hidden = false;
    progress.classList.add("unseen");
    go.disabled = false;
    tell();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const list = file || (pasted.value.trim() ? new Blob([pasted.value], { type: "text/plain" }) : null);
    if (!service) return fail("Choose a service first.");
    if (!list) return fail("Choose or drop a file, or paste IMEIs.");
    problem.hidden = true;
    go.disabled = true;
    const query = new URLSearchParams({
      service: service.id, account: form.dataset.account, name: file ? file.name : "pasted list",
    });
    const request = new XMLHttpRequest();
    request.open("POST", `/jobs/new/upload?${query}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.setRequestHeader("hx-request", "true");
    request.setRequestHeader("x-csrf-token", JSON.parse(document.body.getAttribute("hx-headers"))["x-csrf-token"]);
    progress.classList.remove("unseen");
    request.upload.addEventListener("progress", (step) => {
      if (step.lengthComputable) progress.value = (100 * step.loaded) / step.total;
      said.textContent = "Uploading…";
    });
    request.addEventListener("load", () => {
      if (request.status === 201) return location.assign(JSON.parse(request.responseText).location);
      const told = new DOMParser().parseFromString(request.responseText, "text/html").body.textContent.trim();
      fail(told || "The list could not be taken in.");
    });
    request.addEventListener("error", () => fail("The connection broke. Nothing was ordered; try again."));
    request.send(list);
  });
  const chosen = document.querySelector("input[name=service]:checked");
  if (chosen) service = { id: chosen.value, name: chosen.dataset.name };
  tell();
})();
