from imeiflow import GSMFusionClient

with GSMFusionClient() as client:
    services = client.get_imei_services()
    print(f"{len(services)} services, for example {services[0].title}: ${services[0].price}")

    result = client.place_imei_order(imei="350000000001012", network_id=services[0].package_id)
    if result["orders"]:
        order = result["orders"][0]
        print(f"Order {order['id']} for {order['imei']}: {order['status']}")
    elif result["duplicates"]:
        print("Ordered before")
    else:
        print(f"Error: {result['errors'][0]}")

    for order in client.get_imei_orders(result["orders"][0]["id"]):
        print(f"{order.imei}: {order.status} ({order.package})")
