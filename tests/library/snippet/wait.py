from imeiflow import GSMFusionClient

client = GSMFusionClient()

result = client.place_imei_order(imei="350000000001046", network_id="1")
order_id = result["orders"][0]["id"]
print(f"Order ID: {order_id}")

completed_order = client.wait_for_order_completion(order_id=order_id, check_interval=60)
print(f"Result: {completed_order.code}")

client.close()
