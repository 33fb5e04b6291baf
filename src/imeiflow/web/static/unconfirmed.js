// How many are ticked, said in words; and the provider's export, which goes to the server as it is.
"use strict";

(() => {
  const form = document.getElementById("doubts");
  const said = form && form.querySelector("[data-chosen]");
  if (form) {
    form.addEventListener("change", (event) => {
      const ticked = form.querySelectorAll("[name=order]:checked").length;
      if (event.target.name === "order") form.elements.scope[0].checked = true;
      const isAll = form.elements.scope && form.elements.scope.value === "all";
      if (said) said.textContent = isAll ? "All chosen" : ticked ? `${ticked.toLocaleString()} on this page chosen` : "None chosen";
    });
  }
  const input = document.querySelector("[data-export]");
  if (!input) return;
  const zone = document.getElementById("export-zone");
  const place = document.getElementById("export-found");
  input.addEventListener("change", async () => {
    if (!input.files[0]) return;
    place.textContent = "Comparing…";
    const token = JSON.parse(document.body.getAttribute("hx-headers"));
    const answer = await fetch(`${input.dataset.export}?${new URLSearchParams({ zone: zone.value })}`, {
      method: "POST", body: input.files[0],
      headers: { ...token, "hx-request": "true", "content-type": "application/octet-stream" },
    }).catch(() => null);
    input.value = "";
    if (!answer) place.textContent = "The connection broke. Nothing was settled; try again.";
    else {
      place.innerHTML = await answer.text();
      htmx.process(place);
    }
  });
})();
